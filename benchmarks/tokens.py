"""Sealing and opening one token: the vault's layout compared with one AWS Encryption SDK message per token."""

from functools import partial
from statistics import median
from uuid import UUID

from aws_encryption_sdk import CommitmentPolicy, EncryptionSDKClient
from aws_encryption_sdk.identifiers import AlgorithmSuite

from benchmarks import timing
from benchmarks.table import Row, Table
from chalicelib.secret import Secret
from chalicelib.security.encryption_sdk import raw_key
from chalicelib.security.key_providers import RawKeyProvider
from chalicelib.security.vault import AssociatedData, Vault, WrappedKey

KEY = "5e" * 32
TOKEN = "ya29." + "a" * 120
PLACE = AssociatedData(UUID(int=1), "platform_connection", "access_token", UUID(int=2), 1)
CONTEXT = {"studio": str(PLACE.studio_id), "column": PLACE.column, "row": str(PLACE.row_id)}
SUITES = {
    "SDK message": AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    "SDK message, signed": AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
}
VAULT_CALLS = 100
"""Calls per sample: one call of the vault is too short to be timed."""


def measure(quick: bool) -> list[Table]:
    vault = Vault(RawKeyProvider(Secret(KEY)))
    key = WrappedKey(UUID(int=3), PLACE.studio_id, vault.new_key(PLACE.studio_id))
    sealed = vault.seal(Secret(TOKEN), [key], PLACE)
    assert vault.open(sealed, [key], PLACE) == Secret(TOKEN)
    works: dict[tuple[str, str], timing.Work] = {
        ("vault", "seal"): _repeated(lambda: vault.seal(Secret(TOKEN), [key], PLACE)),
        ("vault", "open"): _repeated(lambda: vault.open(sealed, [key], PLACE)),
    }
    sizes = {"vault": len(sealed)}
    for name, suite in SUITES.items():
        message = _sdk_encrypt(suite)
        assert _sdk_decrypt(message) == TOKEN.encode()
        sizes[name] = len(message)
        works[name, "seal"] = partial(_sdk_encrypt, suite)
        works[name, "open"] = partial(_sdk_decrypt, message)
    rounds, samples = (2, 10) if quick else (10, 50)
    named = {f"{name}/{what}": work for (name, what), work in works.items()}
    taken = timing.interleaved(named, rounds=rounds, samples=samples)
    return [_table({name: median(times) * 1e6 for name, times in taken.items()}, sizes, rounds * samples)]


def _repeated(work: timing.Work) -> timing.Work:
    def repeat() -> None:
        for _ in range(VAULT_CALLS):
            work()

    return repeat


def _table(micros: dict[str, float], sizes: dict[str, int], samples: int) -> Table:
    micros |= {name: value / VAULT_CALLS for name, value in micros.items() if name.startswith("vault/")}
    rows: list[Row] = []
    for name, size in sizes.items():
        seal, open_ = micros[f"{name}/seal"], micros[f"{name}/open"]
        rows.append((name, seal, open_, size, seal / micros["vault/seal"], open_ / micros["vault/open"]))
    title = f"Sealing and opening a token of {len(TOKEN)} bytes (medians of {samples:,})"
    columns = ("layout", "seal, microseconds", "open, microseconds", "stored bytes", "seal, times", "open, times")
    note = (
        "Raw AES key provider for all. Under KMS, each SDK message costs one more network call to seal and one to open."
    )
    return Table(title, columns, rows, [note])


_sdk = EncryptionSDKClient(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)


def _sdk_encrypt(suite: AlgorithmSuite) -> bytes:
    keys = raw_key(bytes.fromhex(KEY))
    message, _ = _sdk.encrypt(source=TOKEN.encode(), key_provider=keys, encryption_context=CONTEXT, algorithm=suite)
    return bytes(message)


def _sdk_decrypt(message: bytes) -> bytes:
    plaintext, _ = _sdk.decrypt(source=message, key_provider=raw_key(bytes.fromhex(KEY)))
    return bytes(plaintext)
