import pytest

from classifiers.patterns.secret import blocks, find


@pytest.mark.parametrize(
    "text",
    [
        *("password: (see below)", "the key word is here", "token: string", "pwd is correct", "secret sauce recipe"),
        *("password: $PASSWORD1", "password: must-have", "password: up-to-date", "password: settings.DB_PASS"),
        *("password=os.environ['X']", "password=%s&user=%s", "password=foo&user=bar", "PWD=/home/joe/project"),
        *("password: help@example.com", "password: https://example.com/a#b", "password: your-password-here"),
        *("pwdMaxAge: 7776000", "pwd_age: 8640000", "password: **bold**", "password: string|null", "password: 12345"),
        *("the password is self-service", "password: user.password!.trim", "key: 12345678901234567890"),
        *("password: this.$refs.password.value", "'password' => self::$password", "password=check&&password"),
        *(
            "/login?reset_password=true&amp;lang=en",
            "password=%a&apos;",
            "?password=true&debug",
            "?password=true&a-b=c",
        ),
        *(
            "/signup?show-password=false#form",
            "passwords: F#major",
            "password: guide.html#reset",
            "password: User#reset",
        ),
        *("Number of leaked passwords: 3000000", "password: john@company", "password=help@example.com&user=x"),
        *("password: email-based-login", 'data-password="form-field-input"', "PASSWORD=correct-horse-battery"),
        *("password: mailto:help@example.com", "password: name@name", "password: word#word", "passwords: Hunter!Blue"),
        *('password: "get(x1)"', '"password": "{{password1}}"', '"password": "[SECRET_1]"', 'password: "<password1>"'),
        *(
            '"password:",input1:"',
            '"Password:"+get(x1)+"',
            'password: "items[0].x1"',
            '"password": "Enter&nbsp;password"',
        ),
        *(
            '"password": "密码,6至20位"',
            'password: "pw-{user1}-x"',
            'password: "$(cat,pw1)"',
            "key: `a_key_of:{name1}:1d`",
        ),
        *(r'password: "^(?=.*[A-Z])(?=.*\d)[A-Za-z\d]{8,}$"', '"password": "^[A-Za-z0-9]{8,32}$"'),
        *("password: '^[a-zA-Z0-9]{8,}$'", r"""{\"password\": \"^\\w{8,32}$\"}""", r'password: "^\w{8,32}$"'),
        *('password: "/^[a-z0-9]+$/i"', r'password: "/^\w{8,32}$/"', r'password: "([0-9a-f]{8,}|x)\w*"'),
        *("'password' => 'required|regex:/[a-z]/|min:8'", "'password' => 'required|min_length[6]|trim'"),
        *("'password' => 'confirmed|regex:/(x2)/|x'", "'password' => 'confirmed|not_in(a)|min:8'"),
        *("'password' => 'required|length(6,20)'", "'password' => 'required|in(a)|between:6,20'"),
        *('"password":"&lt;hidden1&gt;"', '"password":"&lt;your-password1&gt;"'),
        *(r"""{\"password\": \"[SECRET_1]\"}""", r"""{\"password\": \"&lt;hidden1&gt;\"}"""),
        *("密码：6至20位字母", "пароль: неверный2", "密码长度8位", "パスワードは8文字以上", "비밀번호: 8자이상영문"),
        *("passwords2: Hunter!Blue", "password2fa: 3000000", "password1: correct-horse-battery", "password1: 12345"),
    ],
)
def test_words_are_no_secrets(text: str) -> None:
    assert not list(find(text))


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ('PASSWORD="hunter2x"', "hunter2x"), ("password: Hunter22$x9!", "Hunter22$x9!"),
        ("password: pa$$w0rd2024", "pa$$w0rd2024"), ("redis://:p4ssw0rd@host:6379", "p4ssw0rd"),
        ("\u0130stanbul password: hunter2secret9", "hunter2secret9"), ("password: Tr!ck-Horse", "Tr!ck-Horse"),
        ("PASSWORD=correct-horse-b4ttery", "correct-horse-b4ttery"), ("passcode: 84739201", "84739201"),
        (r'{"body": "{\"password\": \"hunter2x\"}"}', "hunter2x"), (r'"use password: hunter2x\\\""', "hunter2x"),
        (r"password: C:\temp\9x", r"C:\temp\9x"), ('{"password": "Hunter!Blue"}', "Hunter!Blue"),
        ("Passwort: Rock&Roll", "Rock&Roll"), ('PASSWORD="Rock&Roll"', "Rock&Roll"), ("contraseña: So!Luna", "So!Luna"),
        ("password: Hunter#Blue", "Hunter#Blue"), ("password: P@ssword", "P@ssword"), ("pwd: a1b2c\\", "a1b2c\\"),
        ('"password: a1b2c\\"', "a1b2c"), ("password=Hunter!Blue&user=x", "Hunter!Blue&user=x"),
        ("password: Tr!ck#horse", "Tr!ck#horse"), ("Passwort: Ab!cd@horse", "Ab!cd@horse"),
        ("password1=Hunter!Blue", "Hunter!Blue"), ("Password2: Hunter!Blue", "Hunter!Blue"),
        ('{"password": "k9$Lq(2)zz"}', "k9$Lq(2)zz"), ('password: "Tr0ub,dor&3xyz"', "Tr0ub,dor&3xyz"),
        ("DB_PASSWORD='f8,Kq2;Lw9'", "f8,Kq2;Lw9"), ('password: "hunter<2>x9"', "hunter<2>x9"),
        ('password: "hunter2x,tail9;x" y', "hunter2x,tail9;x"), ('password: "it\'s,9xy" \'', "it's,9xy"),
        (r'{"a": "{\"password\": \"k9$Lq(2)zz\"}"}', "k9$Lq(2)zz"), (r'password: "a\"b9cd,ef"', r"a\"b9cd,ef"),
        ('password: "Hunter!Blue,x y"', "Hunter!Blue"), ('token: "abcd1234efgh5678(9)"', "abcd1234efgh5678(9)"),
        ('password: "k9[x-y]z,Q"', "k9[x-y]z,Q"), ('password: "/k9,Lq2(/Zz"', "/k9,Lq2(/Zz"),
        ('password: "^k9$,Lq2z"', "^k9$,Lq2z"), ('password: "&lt;k9,Lq2z"', "&lt;k9,Lq2z"),
        ("пароль: qwerty123", "qwerty123"), ("密码:abc12345", "abc12345"), ("密码是abc12345", "abc12345"),
        ("密码:abc12345。", "abc12345"), ("密码是 abc12345、", "abc12345"),
        ("パスワードは abc12345 です", "abc12345"), ("비밀번호는 abc12345", "abc12345"),
        ("Passwort lautet geheim123", "geheim123"),
        ('{"pwd2": "84739201"}', "84739201"), ("contraseña1: So!Luna", "So!Luna"), ("passwords: hunter2x", "hunter2x"),
    ],
)  # fmt: skip
def test_only_the_value_is_the_secret(text: str, secret: str) -> None:
    assert [text[start:end] for start, end in find(text)] == [secret]


@pytest.mark.parametrize("close", ["", "\n", " x", ";", '"'])
def test_a_long_secret_is_one_whole(close: str) -> None:
    secret = "aB3x" * 240
    text = f"aws_session_token={secret}{close} password: hunter2x"
    assert sorted(text[start:end] for start, end in find(text)) == [secret, "hunter2x"]


def test_a_private_key_goes_to_its_end_or_to_the_texts() -> None:
    text = "a -----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY----- b -----BEGIN PRIVATE KEY----- c"
    assert [text[start:end][-4:] for start, end in blocks(text)] == ["----", "-- c"]
