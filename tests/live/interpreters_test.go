package live

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInterpreters runs programs in interpreters that have static probes of their own, and
// counts what the programs do. The probes of Python have semaphores.
func TestInterpreters(t *testing.T) {
	needRoot(t)
	for _, c := range []struct {
		name     string
		files    string // pattern of files that may have the probes
		probe    string
		program  string // name and text of the program
		text     string
		command  func(file, program string) string
		script   string
		expected string
	}{
		{
			"python", "/usr/bin/python3*", "python:gc__start",
			"collect.py", "import gc\ngc.disable()\nfor i in range(5):\n    gc.collect(1)\nimport wave\n",
			func(file, program string) string { return file + " -I " + program },
			`usdt:FILE:python:gc__start /arg0 == 1/ { @gc = count(); }
			usdt:FILE:python:import__find__load__done /str(arg0) == "wave"/ { @found = sum(arg1); }`,
			"@found: 1\n@gc: 5",
		},
		{
			"java", "/usr/lib/jvm/*/lib/server/libjvm.so", "hotspot:thread__start",
			"", "",
			func(file, _ string) string {
				return filepath.Join(file, "../../../bin/java") + " -XX:+UseSerialGC -Xmx64m -version"
			},
			`usdt:FILE:hotspot:vm__init__begin { @begun = count(); }
			usdt:FILE:hotspot:thread__start /str(arg0, arg1 + 1) == "Signal Dispatcher"/ { @started = count(); }`,
			"@begun: 1\n@started: 1",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := ""
			found, _ := filepath.Glob(c.files)
			for _, path := range found {
				if strings.Contains(trace(t, "-l", "usdt:"+path+":"+c.probe).stdout, c.probe) {
					file = path
				}
			}
			if file == "" {
				t.Skip("no installed program of this kind has static probes")
			}
			program := filepath.Join(t.TempDir(), c.program)
			if c.program != "" {
				if err := os.WriteFile(program, []byte(c.text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			r := trace(t, "-q", "-c", c.command(file, program), "-e", strings.ReplaceAll(c.script, "FILE", file))
			if got := strings.TrimSpace(r.stdout); got != c.expected || r.status != 0 {
				t.Errorf("printed %q, want %q\n%s", got, c.expected, r.stderr)
			}
		})
	}
}
