from gateway.config.settings import shipped_dir


def test_what_is_shipped_is_found() -> None:
    assert (shipped_dir() / "gateway.yaml").is_file()
    assert (shipped_dir() / "prices.yaml").is_file()
