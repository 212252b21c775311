from __future__ import annotations

import pytest
from gateway_plugin_auth.config import AlbOptions
from pydantic import ValidationError

ARN = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/shop/50dc6c495c0c9188"
OTHER_ARN = ARN.replace("123456789012", "210987654321")


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("eu-west-1", "https://public-keys.auth.elb.eu-west-1.amazonaws.com"),
        ("ap-southeast-2", "https://public-keys.auth.elb.ap-southeast-2.amazonaws.com"),
        ("us-gov-west-1", "https://s3-us-gov-west-1.amazonaws.com/aws-elb-public-keys-prod-us-gov-west-1"),
    ],
)
def test_the_keys_are_those_of_the_signers_region(region: str, url: str) -> None:
    partition = "aws-us-gov" if "gov" in region else "aws"
    arn = ARN.replace("eu-west-1", region).replace("arn:aws:", f"arn:{partition}:")

    assert AlbOptions(signer=arn).url_of_keys() == url


def test_signers_of_two_regions_are_two_providers() -> None:
    assert AlbOptions(signer=(ARN, OTHER_ARN)).signers() == (ARN, OTHER_ARN)
    with pytest.raises(ValidationError, match="make a provider for each"):
        AlbOptions(signer=(ARN, ARN.replace("eu-west-1", "us-east-1")))
