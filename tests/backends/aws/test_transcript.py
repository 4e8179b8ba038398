"""A run's calls to AWS can be shown to anybody: complete, in order, and without account ids."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backends.aws.account import Account, Call
from backends.aws.transcript import Transcript, as_table, read_calls
from backends.errors import InvalidInputError
from backends.settings import AwsSettings
from tests.backends.aws.conftest import BUCKET

ARN = "arn:aws:sns:eu-west-1:123456789012:edgeward-alerts"


def test_calls_are_read_back_as_they_were_made(aws_settings: AwsSettings, tmp_path: Path) -> None:
    path = tmp_path / "runs" / "1" / "aws-calls.jsonl"
    account = Account(aws_settings, Transcript(path))

    account.client("s3").put_object(Bucket=BUCKET, Key="edgeward/a", Body=b"private")
    account.client("sts").get_caller_identity()

    calls = list(read_calls(path))
    assert [(call.service, call.operation, call.status) for call in calls] == [
        ("s3", "PutObject", 200),
        ("sts", "GetCallerIdentity", 200),
    ]
    text = path.read_text()
    assert "private" not in text
    assert "a-secret" not in text


def test_many_threads_write_whole_lines(tmp_path: Path) -> None:
    transcript = Transcript(tmp_path / "calls.jsonl")
    calls = [
        Call("s3", "PutObject", f"s3://b/{number}" + "x" * 5000, 200, "") for number in range(200)
    ]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(transcript, calls))

    assert set(read_calls(tmp_path / "calls.jsonl")) == set(calls)


def test_a_second_start_goes_on_in_the_same_file(tmp_path: Path) -> None:
    for status in (200, 404):
        Transcript(tmp_path / "calls.jsonl")(Call("s3", "GetObject", "", status, ""))

    assert [call.status for call in read_calls(tmp_path / "calls.jsonl")] == [200, 404]


def test_the_table_counts_repeats_and_masks_accounts() -> None:
    calls = [
        Call("sagemaker", "CreateTrainingJob", "train-1", 200, "1"),
        Call("sagemaker", "DescribeTrainingJob", "train-1", 200, "2"),
        Call("sns", "CreateTopic", ARN, 200, "3"),
        Call("sagemaker", "DescribeTrainingJob", "train-1", 200, "4"),
        Call("sagemaker", "DescribeTrainingJob", "train-1", 400, "5"),
        Call("sts", "GetCallerIdentity", "", 200, "6"),
    ]

    assert as_table(calls).splitlines()[2:] == [
        "| sagemaker | CreateTrainingJob | `train-1` | 200 | 1 |",
        "| sagemaker | DescribeTrainingJob | `train-1` | 200 | 2 |",
        "| sns | CreateTopic | `arn:aws:sns:eu-west-1:<account>:edgeward-alerts` | 200 | 1 |",
        "| sagemaker | DescribeTrainingJob | `train-1` | 400 | 1 |",
        "| sts | GetCallerIdentity |  | 200 | 1 |",
    ]


def test_a_line_that_a_crash_cut_off_is_left_out_and_nonsense_is_named(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    Transcript(path)(Call("s3", "GetObject", "", 200, ""))
    with path.open("a") as stream:
        stream.write('{"service": "s3", "oper')

    assert len(list(read_calls(path))) == 1
    with path.open("a") as stream:
        stream.write("\n")
    with pytest.raises(InvalidInputError, match="line 2"):
        list(read_calls(path))


def test_a_run_that_called_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no transcript"):
        list(read_calls(tmp_path / "none.jsonl"))
