"""Signatures against what AWS has published."""

from __future__ import annotations

import hashlib

import pytest

from archiver.store.s3.sigv4 import Identity, Scope, authorization

# The examples of the S3 manual ("Signature Calculations for the Authorization Header"), whose keys are no secret.
_OF_S3 = Identity("AKIA" + "IOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY")
_HOST = {"host": "examplebucket.s3.amazonaws.com", "x-amz-date": "20130524T000000Z"}


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "body", "signature"),
    [
        (
            "GET",
            "/test.txt",
            "",
            {"range": "bytes=0-9"},
            b"",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            "/test%24file.text",
            "",
            {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            b"Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET",
            "/",
            "lifecycle=",
            {},
            b"",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "GET",
            "/",
            "max-keys=2&prefix=J",
            {},
            b"",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_the_examples_of_s3(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes, signature: str
) -> None:
    payload = hashlib.sha256(body).hexdigest()
    sent = {
        **headers,
        **_HOST,
        "x-amz-content-sha256": payload,
        "user-agent": "any",
        "expect": "100-continue",
    }
    made = authorization(method, path, query, sent, payload, _OF_S3, Scope("us-east-1"), "20130524T000000Z")
    names = ";".join(sorted({*headers, *_HOST, "x-amz-content-sha256"}))
    assert made == (
        f"AWS4-HMAC-SHA256 Credential={_OF_S3.access_key}/20130524/us-east-1/s3/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )


# The test suite of Signature Version 4.
_OF_SUITE = Identity("AKID" + "EXAMPLE", "wJalrXUtnFEMI/K7MDENG+" + "bPxRfiCYEXAMPLEKEY")


@pytest.mark.parametrize(
    ("query", "headers", "signature"),
    [
        ("", {}, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (
            "Param1=value1&Param2=value2",
            {},
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "",
            {"my-header1": "value2,value2,value1"},
            "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
        ),
        (
            "",
            {"my-header1": "value1,value2,value3"},
            "ba17b383a53190154eb5fa66a1b836cc297cc0a3d70a5d00705980573d8ff790",
        ),
        (
            "",
            {"my-header1": " value1", "my-header2": ' "a   b   c"'},
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ),
    ],
)
def test_the_suite(query: str, headers: dict[str, str], signature: str) -> None:
    stamp = "20150830T123600Z"
    sent = {"host": "example.amazonaws.com", "x-amz-date": stamp, **headers}
    payload = hashlib.sha256(b"").hexdigest()
    made = authorization("GET", "/", query, sent, payload, _OF_SUITE, Scope("us-east-1", "service"), stamp)
    assert made.endswith(f"Signature={signature}")
