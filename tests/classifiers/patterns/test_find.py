from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.patterns.find import KINDS, Kind, PatternMatch, find

CARD = "4111 1111 1111 1111"
HOLDS: dict[Kind, list[str]] = {
    "card": [
        *(CARD, "4111111111111111", "5555-5555-5555-4444", "3782 822463 10005", "2223003122003222", "30569309025904"),
        *("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "4111\n1111\n1111\n1111", "卡号4111111111111111", "4111.1111.1111.1111"),
        *(
            "４１１１１１１１１１１１１１１１",
            "4111\u200b1111\u200b1111\u200b1111",
            "4111–1111–1111–1111",
            "٤١١١١١١١١١١١١١١١",
        ),
        *('{"card":"4111111111111111"}', "card\\n4111111111111111", "order 12345 4111 1111 1111 1111 12/27 123"),
        "".join(chr(0xE0000 + ord(sign)) for sign in "4111111111111111"),
        *(r"\u201c4111 1111 1111 1111\u201d", r"\\u00a04111111111111111", r"4111\u200b1111\u2013\uff11111\u00A01111"),
        "".join(rf"\udb40\u{0xDC00 + ord(sign):x}" for sign in "4111111111111111"),
    ],
    "iban": [
        "DE89 3704 0044 0532 0130 00",
        "de89370400440532013000",
        "GB82WEST12345698765432 please",
        "NL91-ABNA-0417-1643-00",
        r"IBAN\u00a0DE89 3704 0044 0532 0130 00",
    ],
    "email": [
        *(
            "joe@example.com",
            "Joe.Doe+x@mail.example.co.uk",
            "<a_b@ex-ample.de>.",
            "müller@exämple.de",
            "ｊｏｅ＠example.com",
        ),
        *(
            "joe@2x.de",
            "joe%40example.com",
            "joe [at] example [dot] com",
            "joe@example[.]com",
            "mailto:joe@x.io",
            "a\u200bb@c.com",
        ),
        *(
            r"joe\u0040example.com",
            r"\u003cjoe@ex\u00e4mple.de\u003e",
            "иван@пример.рф",
            "小明@例子.中国",
            "joe@東京tokyo.jp",
        ),
        *("jose\u0301@example.com", "x@exa\u0308mple.de", "joe@मेल.भारत", "राम@example.com", "น้ำ@example.com"),
    ],
    "phone": [
        *("+1 415 555 2671", "+49 (0)30 1234567", "0049 30 1234567", "(415) 555-2671", "415.555.2671", "030 1234567"),
        *(
            "06 12 34 56 78",
            "0171/1234567",
            "07911123456",
            "call me at 555-0123",
            "my number is 612 345 678",
            "(11) 91234-5678",
        ),
        *("06.12.34.56.78", "06-12-34-56-78", "06/12/34/56/78", "Tel: 01.42.68.53.00", r"Tel.\u00a0+49 30 1234567"),
        *("415-555-2671x123", "+1 415 555 2671x12", "(415) 555-2671x4", "+14155552671ext. 5"),
        *("call Joe,4155552671", "call Joe,0049 30 1234567", "Tel.0301234567", r'{"tel":"0151\/12345678"}'),
        *(
            r"tel: 0151\/12345678",
            r"+49\/30\/1234567",
            "id\n1,0151 12345678",
            "[7,415-555-2671,x]",
            "(17,+49 30 1234567)",
        ),
        *("call 5550123 minutes before", "text 5550123, users say so", "Tel. 12345678 GB", "call 5550123 $20"),
        *("Tel 5550123 Items: 3", "call 555-0123 customers welcome", "Phone 555 0123 files"),
        *("call 415 555-2671", "Tel: 22.345.67.89", "Tel: 45 12 34 56"),
        *("(415)5552671", "415/555-2671", "415 - 555 - 2671", "mob 9876543210", "Phone2: 555 0123"),
    ],
    "national_id": [
        *("123-45-6789", "my ssn is 123456789", "AB 12 34 56 C", "12345678Z", "X1234567L", "RSSMRA85T10A562S"),
        *("529.982.247-25", "CPF 52998224725", "BSN 111222333", "PESEL 44051401359", "Steuer-ID 36574261809"),
        *(
            "Aadhaar 2341 2341 2346",
            "756.9217.0769.85",
            "811228-9874",
            "passport no. X1234567",
            "NHS number 943 476 5919",
        ),
    ],
    "ip": [
        *("192.168.1.77", "203.0.113.9:8080", "http://203.0.113.7/login", "http://10.0.0.5:8080/admin"),
        *("2001:db8::8a2e:370:7334", "fe80::1ff:fe23:4567:890a", "IP:2001:db8::1", "[IPv6:2001:db8::1]"),
        *("source:2001:db8::1", "interface:fe80::1", "IPv6-Adresse:2001:db8::1", "eth0:fd00::17", "ip6:2001:db8::/32"),
        *("from /203.0.113.9:52312", "client=/203.0.113.7", "host/203.0.113.9:5432", "10.0.0.1/203.0.113.7"),
        *(
            "203.0.113.9에서 접속",
            "服务器203.0.113.7无法访问",
            "203.0.113.7节点",
            "地址：2001:db8::1。",
            "源:2001:db8::1",
        ),
        *("::ffff:203.0.113.7", "::ffff:cb00:7107", "64:ff9b::203.0.113.7", "203.0.113.1-9", "[2001:db8::1]:443"),
        *("10.0.0.1:80/203.0.113.7", "[/203.0.113.9, …]", "203.0.113.9:8080/admin"),
        *("web01 / 203.0.113.9", "| db1 |\t/ 203.0.113.9 |", "web01/ 203.0.113.9", "db.example.com /203.0.113.9"),
        *(
            "route add /203.0.113.0/24",
            "/203.0.113.0/24",
            "(/203.0.113.0/8)",
            "release /203.0.113.9",
            "GET /203.0.113.9/x",
        ),
    ],
    "secret": [
        *("sk-proj-abcdefghijklmnop1234567890", "AKIAIOSFODNN7EXAMPLE", "ghp_" + "a1B2" * 9, "password: hunter2x"),
        *("pw: Tr0ub4dor3", "pass: Tr0ub4dor3", "DB_pass=Tr0ub4dor3"),
        *("my password is Tr0ub4dor&3", 'api_key = "abcd1234efgh5678"', "https://bob:s3cret@host/"),
        *("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-def_ghi", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nno end"),
    ],
}
HARMLESS = [
    *(
        "order 1234567890123456",
        "my order number is 00412345",
        "version 1.2.3.4",
        "Foo/1.2.3.4",
        "at 12:34:56 on 2024-03-04",
        "01.02.2024 12:30",
    ),
    *("it costs 1,234,567.89", "std::vector<int>::iterator ab::cd", "the password is wrong", "git@github.com:a/b.git"),
    *(
        "0.4539578763621486",
        "isbn 978-3-16-148410-0",
        "I called 3 times about order 12345678",
        "since 2010 2011 2012 2013",
    ),
    *(
        "the token expired yesterday afternoon",
        "from 100-2000 units",
        "10 000 000",
        "127.0.0.1",
        "call 911",
        "in 5-10 days",
    ),
    *(
        "2024-11-25T04:33:18Z",
        "550e8400-e29b-41d4-a716-446655440000",
        "1 2 3 4 5 6 7 8 9 10 11 12 13",
        "@app.route",
        "",
    ),
    *(
        "01.02.24-05.02.24",
        "01.02.03.04",
        "on 05/06/24",
        "415-555-2671abc",
        "call 550e8400-0123-4567-8901-12345678abcd",
        "call me 2024-11-25T04:33:18Z",
        "revenue 250-500 2024",
        "DFARS 252.227-7013(c)(1)(ii)",
        "Zimmer 300 400-5000 EUR",
    ),
    *(
        "HTTP2/1.2.3.4",
        "版本1.2.3.4发布",
        "версия 1.2.3.4",
        "见1.2.3.4节",
        "10.1.2.3a/255.255.255.0",
        "1.2.3.4a",
        "std::1::2",
        "bob:x:1000:1000::/home/bob:/bin/bash",
        "bob:LK:2001:2001::/home/bob:/bin/bash",
        "case x:2001::f()",
        "org:a1::b2",
        "ratio:1:2:3:4:5:6:7:8",
        "1.2.3.4버전",
        "1.2.3.4以上",
    ),
    *(
        "jdk-17/17.0.8.1",
        "/usr/lib/python3.11/1.2.3.4/x",
        "C:/Program Files (x86)/1.2.3.4/app.exe",
        "/1.2.3.4/foo/2.3.4.5",
        "https://example.com/com/foo/bar-2/1.2.3.4/bar.jar",
        "nuget: Foo.Bar.5/6.0.0.1",
        "foo/1.2.3.4/5.6.7.8",
        "foo/1.2.3.4:12345ab",
        "foo/1.2.3.4/24",
        "/1.2.3.4/24/foo",
        "/1.2.3.4/24.zip",
        "see\n/1.2.3.4/foo",
        "Version / 1.2.3.4",
        "firmware/ 1.2.3.4",
        *("Version=4.0.0.0, Culture=neutral", '{"version": "2.1.3.4"}', "<Package Version='1.2.3.4' />"),
        *('AssemblyVersion("1.2.3.4")', "1.2.3.4-beta", "§ 4.2.1.1", "see section 4.1.2.3", "build = 1.2.3.4"),
        *("x = a[1::2]", "df[10::20, ::2]", "a::1", "1:2:3:4:5:6:7:8"),
        *("it reached 10000000 views", "we called 1200000 users", "text file of 1234567 bytes", "call it 2000000 €"),
        *("we called 1 200 000 users", "text file of 1.200.000 bytes"),
        *("1.2.3.4-SNAPSHOT", "1.2.3.4-rc1", "1.2.3.4-Beta2"),
        *("logo@2x.png", "img/icon@3x.webp", "a@1.5x.png"),
        "joe@localhost请看example.com",
    ),
    *(
        "Kurs 1,0512 12.03.2024",
        "x = 1,0712345678",
        "a\n0,0712345678",
        "x = 0,4539578763621486",
        r"on 01\/02\/2024 12:30",
    ),
    *("PASS: test12345", "pass: tests/unit12", "compass: N45north5", "boarding pass AB12CD34", "pass: 14of15"),
    *("f(415)5552671", "100/200-3000", "mobs of 1234567"),
    *(r"\u0034111 1111 1111 1112", r"a\u0040b", r"C:\users\u12", r"\ud83d\ude00"),
    *("4111 1111 1111 1112", "DE88370400440532013000", "000-45-6789", "12345678A", "PESEL 44051401358", "x@y"),
]


@pytest.mark.parametrize(
    ("kind", "text"),
    [(kind, text) for kind in ("phone", "ip", "secret") for text in HOLDS[kind] if text[0] in "+(02sAg"],
)
def test_what_stands_behind_a_line_end_of_json_that_was_not_decoded_is_found(kind: Kind, text: str) -> None:
    assert kind in {one.kind for one in find(f'{{"body": "note:\\n{text}\\nthanks"}}', [kind])}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in HOLDS.items() for text in texts])
def test_what_a_text_holds_is_found_alone_and_among_words(kind: Kind, text: str) -> None:
    for around in (text, f"please see {text} thanks, bye", f"é {text}."):
        assert kind in {one.kind for one in find(around, [kind])}


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_it_is_not(text: str) -> None:
    assert find(text) == []


def test_places_are_those_of_the_text_as_it_was_given() -> None:
    text = "é\u200b\u200b４１１１ 1111\u200b 1111 1111!"
    (found,) = find(text)
    assert text[found.start : found.end] == "４１１１ 1111\u200b 1111 1111"


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("joe@example.com으로 보내 주세요", "joe@example.com"),
        ("我的邮箱是joe@example.com请尽快回复我关于订单的问题", "joe@example.com"),
        ("我的邮箱是12345678@example.com谢谢", "12345678@example.com"),
        ("joe@example.com请看www.example.com", "joe@example.com"),
        ("อีเมลjoe@example.comครับ", "joe@example.com"),
        ('{"to": "m\\u00fcller@example.de"}', "m\\u00fcller@example.de"),
        ('{"to": "\\u00fc@example.d\\u00eb"}', "\\u00fc@example.d\\u00eb"),
        ('{"to": "\\u201c\\u200bjoe@example.com\\u201d"}', "joe@example.com"),
        ("Mail:rene\u0301@firma.de", "rene\u0301@firma.de"),
        ("nguye\u0302\u0303n@example.com", "nguye\u0302\u0303n@example.com"),
        ("IBAN DE89 3704 0044 0532 0130 00입니다", "DE89 3704 0044 0532 0130 00"),
        (r"http:\/\/bob:s3cret@host\/", "s3cret"),
        ("call me: 415-555-2671x123", "415-555-2671"),
        ("Phone: (555) 123-4567x890", "(555) 123-4567"),
        ("1.415.555.2671", "1.415.555.2671"),
        ("0171 1234567 9am", "0171 1234567"),
        ("call +1 415 555 2671-2pm", "+1 415 555 2671"),
        ("call 415-555-2671.9am is best", "415-555-2671"),
        ("call 612-345-678-9am", "612-345-678"),
        ("rec/+14155552671-20241125T101500.wav", "+14155552671"),
        ("0171-1234567-20241125T101500.mp3", "0171-1234567"),
        ("Rufen Sie 030 1234567-12a an", "030 1234567"),
        ("2001:db8::1 is the address:", "2001:db8::1"),
        ("reach the server at 192.168.10.25", "192.168.10.25"),
        ("DE89 3704 0044 0532 0130 00", "DE89 3704 0044 0532 0130 00"),
    ],
)
def test_what_stands_beside_it_is_left(text: str, held: str) -> None:
    assert [(text[one.start : one.end], one.also) for one in find(text)] == [(held, ())]


def test_what_overlaps_is_one_of_the_stronger_kind() -> None:
    text = "https://bob:joe@example.com"
    assert find(text) == [PatternMatch(12, 27, "secret", ("email",))]
    assert find(text, ["email"]) == [PatternMatch(12, 27, "email")]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("I forgot my password joe1985@example.com", ("secret", "email")),
        ("password=joe1985@example.com&user=x", ("secret", "email")),
        ("passport lost, call me at 612345678", ("national_id", "phone")),
        ("DE89 3704 0044 0532 0130 00", ("iban",)),
        ("my card 4111 1111 1111 1111", ("card",)),
    ],
)
def test_weaker_kinds_are_told_beside_it_but_for_parts_of_a_number_with_check_digits(
    text: str, kinds: tuple[Kind, ...]
) -> None:
    (found,) = find(text)
    assert (found.kind, *found.also) == kinds


def test_only_the_kinds_that_are_asked_for() -> None:
    text = f"joe@example.com {CARD}"
    assert [one.kind for one in find(text, ["card"])] == ["card"]
    assert find(text, []) == []


def test_numbers_of_groups_are_told_from_the_numbers_beside_them() -> None:
    text = f"12345 {CARD} 1234"
    assert [text[one.start : one.end] for one in find(text, ["card"])] == [CARD]


@pytest.mark.parametrize("where", [0, 32_760, 32_768 - 9, 32_768, 65_530, 99_000])
def test_nothing_is_lost_where_a_long_text_is_cut(where: int) -> None:
    filler = "word " * 20_000
    text = f"{filler[:where]} {CARD} joe@example.com {filler[where:]}"
    assert [text[one.start : one.end] for one in find(text)] == [CARD, "joe@example.com"]


def test_a_long_token_is_found_whole() -> None:
    token = "eyJ" + "a" * 3000 + "." + "b" * 3000 + "." + "c" * 3000
    text = "x " * 16_000 + token + " y"
    assert [text[one.start : one.end] for one in find(text)] == [token]


def test_secrets_in_a_token_beyond_all_steps_are_found_to_its_end() -> None:
    text = "pwd=a1b2c3&" * 10_000
    (found,) = find(text)
    assert (found.start, found.end) == (4, len(text))


def test_the_search_can_be_ended_from_outside() -> None:
    class OverError(Exception):
        pass

    def end() -> None:
        raise OverError

    with pytest.raises(OverError):
        find("a", between=end)


@pytest.mark.parametrize(
    "unit",
    [
        "4",
        "1 2 3 ",
        "@",
        "a@",
        "a.b@c.d",
        "-eyJ",
        "+1 ",
        "4１\u200b1 ",
        "DE89 ",
        "1.1.",
        "44 4-",
        "[at]",
        "\\",
        "\\u00e4",
        "\\/",
        "key=",
        "key='key=\"",
        "pwd=a1b2c3",
        "a\u0301@",
        "1,0",
        "語@",
    ],
)
def test_text_made_to_be_slow_is_read_in_steps(unit: str) -> None:
    """Each step is bounded, so that time grows with the text's length only; it is counted, not timed."""
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    find((unit * 70_000)[:70_000], between=step)
    assert steps == 3 * len(KINDS)


@given(st.text(), st.sampled_from(KINDS))
def test_any_text_can_be_read(text: str, kind: Kind) -> None:
    found = find(text, [kind])
    assert all(0 <= one.start < one.end <= len(text) for one in found)
    assert all(left.end <= right.start for left, right in pairwise(found))


@given(
    st.text(st.sampled_from("xyé \u200b\n,;語"), max_size=30),
    st.sampled_from([(kind, text) for kind in ("card", "iban", "email") for text in HOLDS[kind][:2]]),
    st.text(st.sampled_from("éü \u200b\n,;語"), max_size=30),
)
def test_what_stands_around_it_changes_nothing(before: str, held: tuple[Kind, str], after: str) -> None:
    text = f"{before} {held[1]} {after}"
    (found,) = find(text, [held[0]])
    assert text[found.start : found.end] == held[1]
