"""The tables of contracts in the ledger's SQLite file, and what those of an earlier Offramp lack."""

from typing import Final

CREATE: Final = (
    """CREATE TABLE IF NOT EXISTS contracts (
        key TEXT PRIMARY KEY, rule TEXT NOT NULL, model TEXT NOT NULL, at REAL NOT NULL, scope TEXT NOT NULL,
        state TEXT NOT NULL) STRICT""",
    """CREATE TABLE IF NOT EXISTS contract_pairs (
        key TEXT NOT NULL, number INTEGER NOT NULL, at REAL NOT NULL, request_id TEXT NOT NULL,
        chosen INTEGER NOT NULL, rate REAL NOT NULL, attempt INTEGER NOT NULL, threshold REAL, confidence REAL NOT NULL,
        label TEXT NOT NULL, result TEXT NOT NULL, novelty REAL, unlabelled INTEGER) STRICT""",
    # not unique: a contract that memory had no room for begins anew when its prompt comes again
    "CREATE INDEX IF NOT EXISTS contract_pairs_number ON contract_pairs (key, number)",
    """CREATE TABLE IF NOT EXISTS contract_forgotten (
        key TEXT NOT NULL, chosen INTEGER NOT NULL, result TEXT NOT NULL, pairs INTEGER NOT NULL,
        PRIMARY KEY (key, chosen, result)) STRICT""",
    # apart from the contracts: what was spent stays spent where one of them begins anew
    """CREATE TABLE IF NOT EXISTS contract_attempts (
        rule TEXT NOT NULL, model TEXT NOT NULL, attempts INTEGER NOT NULL, PRIMARY KEY (rule, model)) STRICT""",
    """CREATE TABLE IF NOT EXISTS contract_repeats (
        key TEXT NOT NULL, at REAL NOT NULL, confidence REAL NOT NULL, result TEXT NOT NULL) STRICT""",
    "CREATE INDEX IF NOT EXISTS contract_repeats_key ON contract_repeats (key)",
    """CREATE VIEW IF NOT EXISTS contract_withdrawals AS SELECT rule, contract_moves.at FROM contract_moves
        JOIN contracts USING (key) WHERE phase = 'demoted'""",
    """CREATE TABLE IF NOT EXISTS contract_texts (
        rule TEXT NOT NULL, at REAL NOT NULL, text TEXT NOT NULL, label TEXT NOT NULL, among TEXT) STRICT""",
    "CREATE INDEX IF NOT EXISTS contract_texts_at ON contract_texts (at)",
    """CREATE TABLE IF NOT EXISTS contract_trainings (
        rule TEXT NOT NULL, at REAL NOT NULL, texts INTEGER NOT NULL, among TEXT, unended INTEGER) STRICT""",
    # from the first call of a contract's running attempt until the gateway ended, and after one that never did until
    # that is counted; without key where an earlier Offramp noted it, of all of them together
    "CREATE TABLE IF NOT EXISTS contract_serving (since REAL NOT NULL, key TEXT) STRICT",
)
ADDED: Final = (
    ("contract_pairs", "novelty", "REAL"),
    ("contract_pairs", "unlabelled", "INTEGER"),
    ("contract_texts", "among", "TEXT"),
    ("contract_trainings", "among", "TEXT"),
    ("contract_trainings", "unended", "INTEGER"),
    ("contract_serving", "key", "TEXT"),
)
