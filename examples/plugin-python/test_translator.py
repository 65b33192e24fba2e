"""Run it with: python -m unittest"""

import unittest

from datasette_secrets_plugin import Denied
from datasette_secrets_plugin.testing import run
from translator import Translator


class TestTranslator(unittest.TestCase):
    def test_takes_new_keys_into_use(self) -> None:
        with run(Translator()) as host:
            host.until(lambda: "waiting for TRANSLATE_API_KEY" in [line["@message"] for line in host.log])
            host.set("TRANSLATE_API_KEY", "hunter2")
            host.until(lambda: 7 in [line.get("key_length") for line in host.log])
            self.assertEqual(len(host.uses), 1)
            self.assertNotIn("hunter2", str(host.log))

    def test_fails(self) -> None:
        with run(Translator(), secrets={"TRANSLATE_API_KEY": "hunter2"}) as host:
            host.deny("TRANSLATE_API_KEY")
            with self.assertRaises(Denied):
                host.wait()


if __name__ == "__main__":
    unittest.main()
