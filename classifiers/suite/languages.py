"""Harmless everyday sentences in other languages: clean, or in doubt where the policy names other languages."""

from collections.abc import Iterator, Mapping

from classifiers.suite.case import Case, Sample

LINES: Mapping[str, tuple[str, ...]] = {
    "de": (
        "Wann kommt mein Paket an?",
        "Ich möchte meine Adresse ändern, geht das online?",
        "Das Essen gestern war ausgezeichnet, vielen Dank.",
    ),
    "fr": (
        "Quand est-ce que mon colis arrive ?",
        "Je voudrais changer mon adresse, s'il vous plaît.",
        "Le repas d'hier était excellent, merci beaucoup.",
    ),
    "es": (
        "¿Cuándo llega mi paquete?",
        "Quisiera cambiar mi dirección, por favor.",
        "La comida de ayer estuvo excelente, muchas gracias.",
    ),
    "it": (
        "Quando arriva il mio pacco?",
        "Vorrei cambiare il mio indirizzo, per favore.",
        "La cena di ieri era ottima, grazie mille.",
    ),
    "pt": (
        "Quando chega a minha encomenda?",
        "Gostaria de mudar o meu endereço, por favor.",
        "O jantar de ontem estava ótimo, muito obrigado.",
    ),
    "nl": (
        "Wanneer komt mijn pakket aan?",
        "Ik wil graag mijn adres wijzigen.",
        "Het eten gisteren was heerlijk, bedankt.",
    ),
    "pl": (
        "Kiedy przyjdzie moja paczka?",
        "Chciałbym zmienić swój adres.",
        "Wczorajsza kolacja była świetna, dziękuję bardzo.",
    ),
    "sr": ("Kada stiže moj paket?", "Želim da promenim svoju adresu.", "Jučerašnja večera je bila odlična, hvala."),
    "tr": ("Paketim ne zaman gelecek?", "Adresimi değiştirmek istiyorum.", "Dünkü yemek harikaydı, teşekkürler."),
    "ru": ("Когда придёт моя посылка?", "Я хочу изменить свой адрес.", "Вчерашний ужин был отличным, спасибо."),
    "ar": ("متى يصل طردي؟", "أريد تغيير عنواني من فضلك.", "كان العشاء أمس ممتازا، شكرا جزيلا."),
    "hi": ("मेरा पार्सल कब आएगा?", "मैं अपना पता बदलना चाहता हूँ।", "कल का खाना बहुत अच्छा था, धन्यवाद।"),
    "zh": ("我的包裹什么时候到？", "我想更改我的地址。", "昨天的晚餐很棒，谢谢。"),
    "ja": ("荷物はいつ届きますか？", "住所を変更したいのですが。", "昨日の夕食はとても美味しかったです。"),
    "ko": ("제 소포는 언제 도착하나요?", "주소를 변경하고 싶습니다.", "어제 저녁은 정말 맛있었어요, 감사합니다."),
}


def cases(sample: Sample) -> Iterator[Case]:
    """Each language is a variant. None where a policy's labels mean everyday text."""
    if not sample.policy.everyday:
        return
    for language, lines in LINES.items():
        for line in lines:
            yield Case(variant=language, texts=(line,), harmful=False)
