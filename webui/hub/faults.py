"""What can go wrong between this machine and a model hub: one code and one sentence each.

The page translates by `code` and `values` (problem.<code> in the locale files). Knows nothing of HTTP libraries.

Codes and their values: hub_offline; hub_unreachable (host); hub_stalled (file, seconds); hub_gated (repo); hub_token;
hub_no_repo (repo); hub_no_revision (repo, revision); hub_no_file (repo, file); hub_rate_limited (seconds); hub_captive
(host); hub_broken (status, host); hub_no_range (host, file); hub_checksum (file); hub_changed (file, expected, found);
hub_disk_full (folder, need and free in bytes, need_gb, free_gb); hub_not_written (folder, reason); hub_pickle (file);
hub_nothing (repo); hub_bad_name (name); hub_bad_reference (text); hub_other_site (host); hub_exists (name); hub_busy
(name).
"""

from __future__ import annotations

from webui.errors import WebUIError


class HubFault(WebUIError):
    """Root of what can go wrong with a hub. `retry` says that trying again later can help without doing anything."""

    code = "hub_fault"
    retry = False


class Offline(HubFault):
    code = "hub_offline"

    def __init__(self) -> None:
        super().__init__("Downloads are switched off by HF_HUB_OFFLINE; unset it and start again to use the hub.")


class Unreachable(HubFault):
    code = "hub_unreachable"
    retry = True

    def __init__(self, host: str) -> None:
        sentence = f"{host} cannot be reached: check the connection, or set HF_ENDPOINT to a mirror."
        super().__init__(sentence, values={"host": host})


class Stalled(HubFault):
    code = "hub_stalled"
    retry = True

    def __init__(self, file: str, seconds: float) -> None:
        sentence = f"{file} stopped arriving for {seconds:.0f} seconds; what is there is kept, continue it later."
        super().__init__(sentence, values={"file": file, "seconds": round(seconds)})


class Gated(HubFault):
    code = "hub_gated"

    def __init__(self, repo: str) -> None:
        sentence = f"{repo} asks for consent: accept its licence on its page, then set HF_TOKEN to your token."
        super().__init__(sentence, values={"repo": repo})


class BadToken(HubFault):
    code = "hub_token"

    def __init__(self) -> None:
        super().__init__("The hub refuses the token in HF_TOKEN: make a new one in your account's settings.")


class NoRepo(HubFault):
    code = "hub_no_repo"

    def __init__(self, repo: str) -> None:
        sentence = f"There is no public model {repo}: check the spelling, or set HF_TOKEN if it is private."
        super().__init__(sentence, values={"repo": repo})


class NoRevision(HubFault):
    code = "hub_no_revision"

    def __init__(self, repo: str, revision: str) -> None:
        sentence = f"{repo} has no branch {revision}: look at its branches on its page."
        super().__init__(sentence, values={"repo": repo, "revision": revision})


class NoFile(HubFault):
    code = "hub_no_file"

    def __init__(self, repo: str, file: str) -> None:
        sentence = f"{repo} has no file {file} (any more): look at its list of files again."
        super().__init__(sentence, values={"repo": repo, "file": file})


class RateLimited(HubFault):
    code = "hub_rate_limited"
    retry = True

    def __init__(self, seconds: int) -> None:
        sentence = f"The hub asks to wait {seconds} seconds, as too many requests came from here: try again then."
        super().__init__(sentence, values={"seconds": seconds})


class Captive(HubFault):
    code = "hub_captive"

    def __init__(self, host: str) -> None:
        sentence = f"A web page came instead of {host}'s answer: log in to the network (hotel, proxy) and try again."
        super().__init__(sentence, values={"host": host})


class Broken(HubFault):
    code = "hub_broken"
    retry = True

    def __init__(self, host: str, status: int) -> None:
        sentence = f"{host} has trouble of its own (error {status}): try again later."
        super().__init__(sentence, values={"host": host, "status": status})


class WrongChecksum(HubFault):
    code = "hub_checksum"

    def __init__(self, file: str) -> None:
        sentence = f"{file} arrived damaged (its sha256 is wrong) and was deleted: download it again."
        super().__init__(sentence, values={"file": file})


class NoRange(HubFault):
    code = "hub_no_range"
    retry = True

    def __init__(self, host: str, file: str) -> None:
        sentence = (
            f"{host} cannot continue a download that broke off: {file} was begun again from its first byte; a mirror "
            "(HF_ENDPOINT) may do better."
        )
        super().__init__(sentence, values={"host": host, "file": file})


class Changed(HubFault):
    code = "hub_changed"

    def __init__(self, file: str, expected: int, found: int) -> None:
        sentence = f"{file} has {found} bytes where the hub promised {expected}: look at the list of files again."
        super().__init__(sentence, values={"file": file, "expected": expected, "found": found})


class DiskFull(HubFault):
    code = "hub_disk_full"

    def __init__(self, folder: str, need: int, free: int) -> None:
        sentence = (
            f"{folder} has {free / 1e9:.1f} GB free and {need / 1e9:.1f} GB are needed: make room or choose another "
            "model folder (--model-dir)."
        )
        sizes = {"need_gb": round(need / 1e9, 1), "free_gb": round(free / 1e9, 1)}
        super().__init__(sentence, values={**sizes, "folder": folder, "need": need, "free": free})


class NotWritten(HubFault):
    code = "hub_not_written"

    def __init__(self, folder: str, reason: str) -> None:
        sentence = f"{folder} cannot be written to ({reason}): choose another model folder (--model-dir)."
        super().__init__(sentence, values={"folder": folder, "reason": reason})


class Pickle(HubFault):
    code = "hub_pickle"

    def __init__(self, file: str) -> None:
        sentence = f"{file} is a Python pickle, which can run code, and is never downloaded: get a GGUF version."
        super().__init__(sentence, values={"file": file})


class NothingToLoad(HubFault):
    code = "hub_nothing"

    def __init__(self, repo: str) -> None:
        sentence = f"{repo} holds nothing that can be loaded here: look for a GGUF or EXL2 version of the model."
        super().__init__(sentence, values={"repo": repo})


class BadName(HubFault):
    code = "hub_bad_name"

    def __init__(self, name: str) -> None:
        sentence = f"The hub lists a file under the name {name[:80]!r}, which leads out of its folder: it is refused."
        super().__init__(sentence, values={"name": name[:80]})


class BadReference(HubFault):
    code = "hub_bad_reference"

    def __init__(self, text: str) -> None:
        sentence = f"{text[:80]!r} names no model: write user/model, user/model:branch, or paste the page's address."
        super().__init__(sentence, param="repo", values={"text": text[:80]})


class OtherSite(HubFault):
    code = "hub_other_site"

    def __init__(self, host: str) -> None:
        sentence = f"{host} is not the model hub: only addresses of huggingface.co (or of HF_ENDPOINT) are downloaded."
        super().__init__(sentence, param="repo", values={"host": host[:80]})


class Exists(HubFault):
    code = "hub_exists"

    def __init__(self, name: str) -> None:
        sentence = f"There is a {name} in the model folder already: rename or delete it first."
        super().__init__(sentence, values={"name": name})


class AlreadyQueued(HubFault):
    code = "hub_busy"

    def __init__(self, name: str) -> None:
        sentence = f"{name} is being downloaded already: see the list of downloads."
        super().__init__(sentence, values={"name": name})
