"""Releases with their files, and tags.

https://docs.github.com/en/rest/releases/releases, https://docs.github.com/en/rest/git/refs
"""

from __future__ import annotations

from typing import Any

from tests.workflows.github.routes import Answer, Call, Problem, route
from tests.workflows.github.state import ADA, BOT, State, now

READ, WRITE = "contents: read", "contents: write"
FIELDS = (
    *("tag_name", "target_commitish", "name", "body", "draft", "prerelease", "make_latest"),
    *("generate_release_notes", "discussion_category_name"),
)


@route("GET", "releases/latest", READ)
def latest(state: State, call: Call) -> dict[str, Any]:
    published = [one for one in _newest_first(state) if not one["draft"] and not one["prerelease"]]
    if not published:
        raise Problem(404, "Not Found")
    return published[0]


@route("GET", "releases/tags/{tag}", READ)
def by_tag(state: State, call: Call, tag: str) -> dict[str, Any]:
    for release in _newest_first(state):
        if release["tag_name"] == tag and not release["draft"]:
            return release
    raise Problem(404, "Not Found")


@route("GET", "releases/assets/{key}", READ)
def get_asset(state: State, call: Call, key: str) -> Any:
    if call.accept == "application/octet-stream":
        return Answer(200, state.assets[int(key)])
    return _asset(state, int(key))[1]


@route("DELETE", "releases/assets/{key}", WRITE)
def delete_asset(state: State, call: Call, key: str) -> Answer:
    release, asset = _asset(state, int(key))
    release["assets"].remove(asset)
    return Answer(204)


@route("GET", "releases", READ)
def list_releases(state: State, call: Call) -> list[dict[str, Any]]:
    return [one for one in _newest_first(state) if not one["draft"] or _may_write(call)]


@route("POST", "releases", WRITE)
def create_release(state: State, call: Call) -> Answer:
    call.known(*FIELDS)
    call.wanted("tag_name")
    tag = call.body["tag_name"]
    if any(one["tag_name"] == tag and not one["draft"] for one in state.releases.values()):
        raise Problem(422, "Validation Failed", {"resource": "Release", "code": "already_exists", "field": "tag_name"})
    key = next(state.numbers)
    defaults = {"target_commitish": state.settings["default_branch"], "name": tag, "body": ""}
    release = {"id": key, "draft": False, "prerelease": False, "assets": [], **defaults, **call.body}
    release |= {"url": f"{state.api}/releases/{key}", "html_url": f"{state.page}/releases/tag/{tag}"}
    release |= {"assets_url": f"{state.api}/releases/{key}/assets", "created_at": now(), "published_at": now()}
    release |= {"author": ADA if call.permissions is None else BOT}
    release["upload_url"] = f"{state.api}/releases/{key}/assets{{?name,label}}"
    _publish(state, release)
    state.releases[key] = release
    return Answer(201, release)


@route("POST", "releases/{key}/assets", WRITE)
def upload_asset(state: State, call: Call, key: str) -> Answer:
    release = _release(state, key)
    name = call.query["name"]
    if any(one["name"] == name for one in release["assets"]):
        raise Problem(422, "Validation Failed", {"resource": "ReleaseAsset", "code": "already_exists", "field": "name"})
    number = next(state.numbers)
    state.assets[number] = call.content
    asset = {"id": number, "name": name, "state": "uploaded", "size": len(call.content)}
    asset |= {"url": f"{state.api}/releases/assets/{number}", "uploader": ADA if call.permissions is None else BOT}
    asset |= {"browser_download_url": f"{release['html_url'].replace('/tag/', '/download/')}/{name}"}
    release["assets"].append(asset)
    return Answer(201, asset)


@route("GET", "releases/{key}/assets", READ)
def list_assets(state: State, call: Call, key: str) -> list[dict[str, Any]]:
    return list(_release(state, key)["assets"])


@route("GET", "releases/{key}", READ)
def get_release(state: State, call: Call, key: str) -> dict[str, Any]:
    return _release(state, key)


@route("PATCH", "releases/{key}", WRITE)
def update_release(state: State, call: Call, key: str) -> dict[str, Any]:
    call.known(*FIELDS)
    release = _release(state, key)
    release |= call.body
    _publish(state, release)
    return release


@route("POST", "git/refs", WRITE)
def create_ref(state: State, call: Call) -> Answer:
    call.known("ref", "sha")
    call.wanted("ref", "sha")
    ref, commit = call.body["ref"], state.commit(call.body["sha"])
    if not ref.startswith("refs/") or ref.count("/") < 2:
        raise Problem(422, "Reference name must start with 'refs/' and have at least two slashes.")
    if not commit:
        raise Problem(422, "Object does not exist")
    if state.git("rev-parse", "--quiet", "--verify", ref, check=False):
        raise Problem(422, "Reference already exists")
    state.git("update-ref", ref, commit)
    return Answer(201, {"ref": ref, "object": {"type": "commit", "sha": commit}})


@route("GET", "git/ref/{ref}", READ)
def get_ref(state: State, call: Call, ref: str) -> dict[str, Any]:
    if found := state.git("rev-parse", "--quiet", "--verify", f"refs/{ref}", check=False):
        return {"ref": f"refs/{ref}", "object": {"type": "commit", "sha": found}}
    raise Problem(404, "Not Found")


def _publish(state: State, release: dict[str, Any]) -> None:
    """Once it is no draft, a release has its tag, made where it is not there."""
    if release["draft"]:
        return
    tag = f"refs/tags/{release['tag_name']}"
    if not state.git("rev-parse", "--quiet", "--verify", tag, check=False):
        commit = state.commit(release["target_commitish"])
        if not commit:
            field = {"resource": "Release", "code": "invalid", "field": "target_commitish"}
            raise Problem(422, "Validation Failed", field)
        state.git("update-ref", tag, commit)
    release.setdefault("published_at", now())


def _newest_first(state: State) -> list[dict[str, Any]]:
    return sorted(state.releases.values(), key=lambda one: int(one["id"]), reverse=True)


def _release(state: State, key: str) -> dict[str, Any]:
    if not key.isdecimal() or int(key) not in state.releases:
        raise Problem(404, "Not Found")
    return state.releases[int(key)]


def _asset(state: State, key: int) -> tuple[dict[str, Any], dict[str, Any]]:
    for release in state.releases.values():
        for asset in release["assets"]:
            if asset["id"] == key:
                return release, asset
    raise Problem(404, "Not Found")


def _may_write(call: Call) -> bool:
    return call.permissions is None or call.permissions.get("contents") == "write"
