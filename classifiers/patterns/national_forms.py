"""How numbers of persons are written, by the module of python-stdnum that knows their check digits. Data only."""

# `us` and `gb` have none, the last has no module: the words say what it is
BARE: tuple[tuple[str, str], ...] = (
    # by themselves: a form that little else has, or two check digits
    ("us", r"\d{3}-\d{2}-\d{4}"),
    ("gb", r"(?i:[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ -]?\d{2}[ -]?\d{2}[ -]?\d{2}[ -]?[A-D])"),
    ("de.idnr", r"[1-9]\d[ .-]\d{3}[ .-]\d{3}[ .-]\d{3}"),
    ("fr.nir", r"[12][ .-]?\d{2}[ .-]?\d{2}[ .-]?(?:\d{2}|2[ABab])[ .-]?\d{3}[ .-]?\d{3}[ .-]?\d{2}"),
    ("es.dni", r"\d{2}\.?\d{3}\.?\d{3}[ -]?[A-Za-z]"),
    ("es.nie", r"[XYZxyz][ -]?\d{7}[ -]?[A-Za-z]"),
    (
        "it.codicefiscale",
        (
            r"(?i:[A-Z]{3}[ -]?[A-Z]{3}[ -]?[\dL-NP-V]{2}[ -]?[A-EHLMPR-T][ -]?[\dL-NP-V]{2}[ -]?"
            r"[A-Z][ -]?[\dL-NP-V]{3}[ -]?[A-Z])"
        ),
    ),
    ("br.cpf", r"\d{3}\.\d{3}\.\d{3}-\d{2}"),
    ("se.personnummer", r"(?:19|20)?\d{6}[-+]\d{4}"),
    ("no.fodselsnummer", r"\d{6}[ -]?\d{5}"),
    ("fi.hetu", r"(?i:\d{6}[-+ABCDEFYXWVU]\d{3}[0-9A-Y])"),
    ("be.nn", r"\d{2}\.\d{2}\.\d{2}[-.]\d{3}[-.]\d{2}"),
    ("ch.ssn", r"756[. ]?\d{4}[. ]?\d{4}[. ]?\d{2}"),
    ("cn.ric", r"[1-9]\d{5}(?:19|20)\d{9}[\dXx]"),
    ("kr.rrn", r"\d{6}-[1-8]\d{6}"),
    ("mx.curp", r"[A-Za-z]{4}\d{6}[HMhm][A-Za-z]{5}[A-Za-z0-9]\d"),
    ("in_.pan", r"[A-Z]{3}[ABCFGHLJPT][A-Z]\d{4}[A-Z]"),
    ("ar.cuit", r"\d{2}-\d{8}-\d"),
    ("cl.rut", r"\d{1,2}\.\d{3}\.\d{3}-[\dKk]"),
    ("cz.rc", r"\d{6}/\d{3,4}"),
    ("my.nric", r"\d{6}-\d{2}-\d{4}"),
    ("th.pin", r"[1-8]-\d{4}-\d{5}-\d{2}-\d"),
)
SAID: tuple[tuple[str, str, str], ...] = (
    ("us", r"\d{3}[ .-]?\d{2}[ .-]?\d{4}", r"(?i)\bssn\b|social[ -]security|\bss ?(?:#|no\b|num)"),
    ("us.itin", r"9\d{2}[ .-]?\d{2}[ .-]?\d{4}", r"(?i)\bitin\b|taxpayer"),
    ("gb.nhs", r"\d{3}[ -]?\d{3}[ -]?\d{4}", r"(?i)\bnhs\b|national health"),
    ("de.idnr", r"[1-9]\d{10}", r"(?i)steuer|id-?nr|\btin\b|tax (?:id|number)|\bidentifikationsnummer"),
    ("nl.bsn", r"\d{3,4}[ .-]?\d{2,3}[ .-]?\d{3}", r"(?i)\bbsn\b|burgerservice|\bsofi"),
    ("pl.pesel", r"\d{11}", r"(?i)pesel"),
    ("br.cpf", r"\d{3}[ .]?\d{3}[ .]?\d{3}[ -]?\d{2}", r"(?i)\bcpf\b"),
    ("in_.aadhaar", r"[2-9]\d{3}[ -]?\d{4}[ -]?\d{4}", r"(?i)aadh?aa?r|\buid(?:ai)?\b|आधार"),
    ("se.personnummer", r"(?:19|20)?\d{6}[-+]?\d{4}", r"(?i)personn(?:umme)?r|samordningsn|\bpnr\b"),
    ("dk.cpr", r"\d{6}[ -]?\d{4}", r"(?i)\bcpr\b|personnummer"),
    (
        "be.nn",
        r"\d{2}[ .]?\d{2}[ .]?\d{2}[ .-]?\d{3}[ .-]?\d{2}",
        r"(?i)rijksregister|registre national|national number|num[ée]ro national|\bnn\b|\bniss\b|\binsz\b",
    ),
    ("pt.nif", r"(?:PT[ -]?)?\d{3}[ .]?\d{3}[ .]?\d{3}", r"(?i)\bnif\b|contribuinte"),
    ("at.vnr", r"\d{4}[ -]?\d{6}", r"(?i)sv-?nr|sozialversicherung|versicherungsnummer"),
    ("ca.sin", r"\d{3}[ -]?\d{3}[ -]?\d{3}", r"(?i)\bsin\b|social insurance|assurance sociale"),
    ("au.tfn", r"\d{3}[ -]?\d{3}[ -]?\d{2,3}", r"(?i)\btfn\b|tax file"),
    ("za.idnr", r"\d{13}|\d{6}[ -]\d{4}[ -]\d{3}", r"(?i)\bid\b|identity"),
    ("tr.tckimlik", r"[1-9]\d{10}", r"(?i)\btc\b|t\.c\.|kimlik|tckn"),
    ("ro.cnp", r"\d{13}", r"(?i)\bcnp\b|cod numeric"),
    ("bg.egn", r"\d{10}", r"(?i)\begn\b|егн"),
    ("hr.oib", r"\d{11}", r"(?i)\boib\b"),
    ("gr.amka", r"\d{11}", r"(?i)\bamka\b|αμκα"),
    ("ie.pps", r"\d{7}[ -]?[A-Wa-w][A-IWa-iw]?", r"(?i)\bpps"),
    ("id.nik", r"\d{16}", r"(?i)\bnik\b|\bktp\b"),
    ("th.pin", r"\d{13}", r"(?i)thai|\bid\b|บัตรประชาชน"),
    ("il.idnr", r"\d{9}", r"(?i)teudat|israeli|\bid\b|ת\.?ז"),
    ("ar.cuit", r"\d{2}[ -]?\d{8}[ -]?\d", r"(?i)\bcui[lt]\b"),
    ("cl.rut", r"\d{1,2}\.?\d{3}\.?\d{3}[ -]?[\dKk]", r"(?i)\brut\b|(?-i:\bRUN\b)|rol [úu]nico"),
    ("cz.rc", r"\d{6}[ /]?\d{3,4}", r"(?i)rodn[ée].{0,2} [čc][íi]s|\br\. ?[čc]\b|\brč\b"),
    ("my.nric", r"\d{6}[ -]?\d{2}[ -]?\d{4}", r"(?i)\bnric\b|mykad|(?-i:\bIC\b)|kad pengenalan|identity card"),
    (
        "",
        # digits behind a letter or two; or both mixed, at least two of them digits
        r"[A-Za-z]{0,2}\d{6,9}|[A-Z]{1,2}[ -]\d{6,8}|(?=(?:[A-Z]*\d){2})[A-Z0-9]{8,9}|(?=(?:[a-z]*\d){4})[a-z0-9]{8,9}",
        r"(?i)passport|reisepass|passeport|pasaporte|passaporto|paspoort|paszport|pass-?n(?:umme)?r|паспорт|护照|旅券",
    ),
)
