#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["transformers==5.23.0", "jinja2==3.1.6", "numpy==2.4.6"]
# ///
"""Renders chat templates as `transformers` does, for tests/chat_templates.rs.

    python3 -m venv venv && venv/bin/pip install transformers==5.23.0 jinja2==3.1.6
    venv/bin/python scripts/render_chat_templates.py            # writes tests/data/chat/expected.json
    venv/bin/python scripts/render_chat_templates.py --check    # compares, writes nothing
    venv/bin/python scripts/render_chat_templates.py --templates FOLDER --out FILE

Every template of the folder renders every conversation of tests/data/chat/conversations.json by the function
behind `apply_chat_template`, with its sandboxed environment of jinja2. What is written for each is the text (after the `prefix` that all texts of
a template share), or the message of the template's own `raise_exception`, or `{"error": null}` where Python fails in a way of its own. The
clock stands still, at 26 July 2024, 09:05:03, so that templates which write the date have an expected text.
"""

import argparse
import datetime
import json
import os
import sys
from pathlib import Path

import jinja2
from transformers.utils import chat_template_utils

DATA = Path(__file__).resolve().parent.parent / "tests" / "data" / "chat"
NOW = datetime.datetime(2024, 7, 26, 9, 5, 3)

# Special tokens of the models whose templates write them.
TOKENS = {
    "command-r7b": ("<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>"),
    "deepseek-r1-distill": ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
    "gemma-2": ("<bos>", "<eos>"),
    "gpt-oss": ("<|startoftext|>", "<|return|>"),
    "hermes-3": ("<|begin_of_text|>", "<|im_end|>"),
    "llama-3.1": ("<|begin_of_text|>", "<|eot_id|>"),
    "llama-3.2": ("<|begin_of_text|>", "<|eot_id|>"),
    "mistral-nemo": ("<s>", "</s>"),
    "phi-3.5": ("<s>", "<|endoftext|>"),
}
OTHER = ("<s>", "</s>")


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def render(template, conversation, tokens):
    """The text, or what went wrong."""
    bos, eos = tokens
    # As `apply_chat_template` does before it calls the function below.
    messages = [
        {key: value for key, value in message.items() if value is not None}
        for message in conversation["messages"]
    ]
    try:
        [text], _ = chat_template_utils.render_jinja_template(
            [messages],
            tools=conversation.get("tools"),
            documents=conversation.get("documents"),
            chat_template=template,
            add_generation_prompt=conversation.get("add_generation_prompt", True),
            bos_token=bos,
            eos_token=eos,
            **conversation.get("variables", {}),
        )
        return {"text": text}
    except jinja2.exceptions.UndefinedError:
        return {"error": None}
    except jinja2.exceptions.TemplateError as error:
        # Others are of jinja2's own making, in its own words.
        own = type(error) is jinja2.exceptions.TemplateError
        return {"error": str(error) if own else None}
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError):
        return {"error": None}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--templates", type=Path, default=DATA / "templates")
    parser.add_argument("--out", type=Path, default=DATA / "expected.json")
    args = parser.parse_args()
    chat_template_utils.datetime = Clock
    conversations = json.loads((DATA / "conversations.json").read_text("utf-8"))
    expected = {}
    for path in sorted(args.templates.glob("*.jinja")):
        with path.open(encoding="utf-8", newline="") as file:
            template = file.read()
        tokens = TOKENS.get(path.stem, OTHER)
        rendered = {
            name: render(template, conversation, tokens)
            for name, conversation in conversations.items()
        }
        # Some models' own system prompt is most of every text: it is written once.
        prefix = os.path.commonprefix([one["text"] for one in rendered.values() if "text" in one])
        for one in rendered.values():
            if "text" in one:
                one["text"] = one["text"][len(prefix) :]
        expected[path.stem] = {
            "bos_token": tokens[0],
            "eos_token": tokens[1],
            "prefix": prefix,
            "rendered": rendered,
        }
    text = json.dumps(expected, ensure_ascii=False, indent=1) + "\n"
    if args.check:
        if args.out.read_text("utf-8") != text:
            sys.exit(f"{args.out} is not what this script writes")
    else:
        args.out.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
