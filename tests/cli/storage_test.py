"""A disk that fills up and folders that can't be written: one message, and what was there before stays whole.
Needs root for mounts in a namespace of its own; skips elsewhere."""
import os
import shlex
import subprocess
import unittest

from support import PROGRAM, SMALL, CliTest, Result, environment, half_written, main

# Some 100 kB a checkpoint, so that a disk of 2 MB is full after a few.
LARGE = SMALL.replace("hidden: [24]", "hidden: [64]").replace("epochs: 2,", "epochs: 40, checkpoint: {keep: 100},")


def can_mount():
    command = ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt && mount -o remount,ro /mnt"]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


@unittest.skipUnless(can_mount(), "mounting in a namespace of one's own needs root")
class Storage(CliTest):
    def mounted(self, script):
        """Runs a shell script with an empty tmpfs at $DISK, of 2 MB; $ELBO is the program. Prints go to stdout."""
        disk = self.path("disk")
        os.mkdir(disk)
        text = f"mount -t tmpfs -o size=2m tmpfs {shlex.quote(disk)} || exit 99\n{script}"
        run = subprocess.run(["unshare", "-m", "sh", "-c", text], capture_output=True, text=True, timeout=300, cwd=self.folder,
                             env=environment(DISK=disk, ELBO=PROGRAM))
        self.assertNotIn("terminate", run.stderr)
        return Result(run.returncode, run.stdout, run.stderr)

    def assert_refused(self, result, *says):
        self.assertEqual(len(result.errors), 1, result)
        for words in says:
            self.assertIn(words, result.err)

    def test_a_full_disk_ends_the_run_with_one_message_and_whole_checkpoints(self):
        config = self.small(LARGE)
        result = self.mounted(f"""
            $ELBO train {config} --run $DISK/run --quiet; code=$?
            rm -f $DISK/run/events*; cp -a $DISK/run saved
            $ELBO evaluate saved --limit 10 --quiet > /dev/null || exit 98
            exit $code""")
        self.assertEqual(result.code, 4, result)
        self.assert_refused(result, "disk is full", self.path("disk", "run"))
        self.assertEqual(half_written(self.path("saved")), [])
        # With room again the run goes on.
        self.elbo("train", config, "--run", self.path("saved"), "--resume", "--quiet", "--set", "training.checkpoint.keep=1", check_code=None)

    def test_a_disk_full_from_the_start(self):
        result = self.mounted(f"dd if=/dev/zero of=$DISK/fill bs=64k 2>/dev/null; $ELBO train {self.small()} --run $DISK/run --quiet")
        self.assertEqual(result.code, 4, result)
        self.assert_refused(result, "disk is full")

    def test_results_on_a_full_disk_leave_no_half_file(self):
        run = self.train()
        result = self.mounted(f"""dd if=/dev/zero of=$DISK/fill bs=64k 2>/dev/null
            $ELBO evaluate {run} --quiet --limit 100 --per-example $DISK/rows.csv --json $DISK/result.json; code=$?
            $ELBO sample {run} --out $DISK/s.png; ls -A $DISK; exit $code""")
        self.assertEqual(result.code, 4, result)
        self.assertEqual(result.out, "fill\n")
        self.assertEqual(len(result.errors), 2, result)

    def test_a_read_only_folder(self):
        run = self.train()
        result = self.mounted(f"""cp -a {run} $DISK/run && mount -o remount,ro $DISK
            $ELBO train {self.small()} --run $DISK/new --quiet; echo $?
            $ELBO train {self.small()} --run $DISK/run --resume --quiet; echo $?
            $ELBO sample $DISK/run --out $DISK/s.png; echo $?
            $ELBO evaluate $DISK/run --limit 10 --quiet > /dev/null; echo $?""")
        self.assertEqual(result.out, "4\n4\n4\n0\n", result)
        self.assertEqual(len(result.errors), 3, result)
        self.assertEqual(result.err.lower().count("read-only file system") + result.err.count("file system is read-only"), 3, result)


if __name__ == "__main__":
    main()
