"""What is asked of a bucket of S3; nothing of the bucket itself is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archiver.errors import AccessError, StorageError
from archiver.health.doctor.scratch import BODY, LacksError, Scratch
from archiver.retention.bucket_rules import dangers, is_ours, parse
from archiver.store import UnsupportedError


def rules(scratch: Scratch) -> str:
    """Tell how many lifecycle rules there are, and warn of those that would harm."""
    api = scratch.bucket
    found = api.rules()
    present = parse(None if found is None else found.xml).rules
    harm = dangers((rule for rule in present if not is_ours(rule, api.root)), api.root)
    warning = f"; warning: {harm[0]}" if harm else ""
    return f"{len(present)} rules (writing was not tried){warning}"


def tags(scratch: Scratch) -> str:
    """Try to tag an object."""
    # On an object of ours: there is a server that puts the tags in the place of the content.
    scratch.put("parts")
    scratch.call("put_object_tagging", "parts", Tagging={"TagSet": [{"Key": "probe", "Value": "yes"}]})
    if scratch.store.get(scratch.key("parts")) != BODY:
        raise LacksError("tagging an object overwrites its content: never tag objects there")
    kept = scratch.call("get_object_tagging", "parts").get("TagSet")
    if kept != [{"Key": "probe", "Value": "yes"}]:
        raise LacksError("tags are not kept")
    return "objects can be tagged"


def versions(scratch: Scratch) -> str:
    """Tell whether old versions are kept."""
    status = scratch.bucket.versioning()
    scratch.versioned = bool(status)
    if not status:
        return "off: what gc deletes is freed at once"
    return (
        f"{status.lower()}: what gc deletes goes on being paid for as old versions until a rule removes them "
        "(archiver lifecycle plan)"
    )


def lock(scratch: Scratch) -> str:
    """Tell whether new objects are locked."""
    rule = scratch.locks.rule()
    if rule is None:
        return "off"
    if rule:
        raise LacksError("every new object is locked for a time: gc cannot free it before")
    return "on, without a default: `bundle create --retain` can use it"


def encryption(scratch: Scratch) -> str:
    """Tell how the bucket encrypts what is written without a word about it."""
    try:
        answer = scratch.bucket.call("get_bucket_encryption", "read the encryption")
    except AccessError:
        raise
    except StorageError as error:
        if isinstance(error, UnsupportedError) or "ServerSideEncryptionConfigurationNotFound" in str(error):
            return "none by default"
        raise
    rules = answer.get("ServerSideEncryptionConfiguration", {}).get("Rules", ())
    default: Mapping[str, Any] = next(
        (rule.get("ApplyServerSideEncryptionByDefault", {}) for rule in rules), {}
    )
    method = default.get("SSEAlgorithm", "")
    if not method.startswith("aws:kms"):
        return f"{method or 'none'} by default"
    key = default.get("KMSMasterKeyID") or "the account's own key"
    text = (
        f"{method} by default with {key}: who reads needs kms:Decrypt, who writes kms:GenerateDataKey as well"
    )
    if not any(rule.get("BucketKeyEnabled") for rule in rules):
        text += "; warning: without a bucket key each object asks KMS, which is slow and is paid for"
    return text
