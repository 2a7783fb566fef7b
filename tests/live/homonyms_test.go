package live

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestHomonyms attaches to load_elf_binary, of which the kernel has two: one loads
// programs of 64 bits, the other those of 32 bits. Both are attached, and their names
// distinguish them. A number selects one.
func TestHomonyms(t *testing.T) {
	if *peer {
		t.Skip("bpftrace refuses such names, or attaches to the first")
	}
	if why := missing("kprobe"); why != "" {
		t.Skip(why)
	}
	text, err := os.ReadFile("/proc/kallsyms")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), " t load_elf_binary\n"); n != 2 {
		t.Skipf("this kernel has %d functions load_elf_binary", n)
	}
	const execs = 4 // the shell, and what it starts
	run := func(script string) string {
		t.Helper()
		r := trace(t, "--follow", "-c", fmt.Sprintf(`/bin/sh -c '%[1]s say x >/dev/null; %[1]s say x >/dev/null; %[1]s say x >/dev/null; true'`, *work), "-e", script)
		r.quiet(t)
		return strings.TrimSpace(r.stdout)
	}
	out := run(`kprobe:load_elf_binary { @[probe, func] = count(); }`)
	m := regexp.MustCompile(`^@\[kprobe:(load_elf_binary#[12]), (.*)\]: (\d+)$`).FindStringSubmatch(out)
	if m == nil || m[2] != m[1] || m[3] != fmt.Sprint(execs) {
		t.Fatalf("a kprobe at both: %s", out)
	}
	native, other := m[1], map[string]string{"load_elf_binary#1": "load_elf_binary#2", "load_elf_binary#2": "load_elf_binary#1"}[m[1]]
	for script, want := range map[string]string{
		"kprobe:" + native + "+0 { @n[probe] = count(); } kprobe:" + other + " { @o = count(); }":                                       "@n[kprobe:" + native + "]: 4",
		"kretprobe:load_elf_binary { @r[probe] = count(); } kprobe:vmlinux:load_elf_b*ary { @w[probe] = count(); @f[func] = count(); }": "@f[" + native + "]: 4\n@r[kretprobe:" + native + "]: 4\n@w[kprobe:vmlinux:" + native + "]: 4",
	} {
		if got := strings.ReplaceAll(run(script), "\n\n", "\n"); got != want {
			t.Errorf("%s\nprinted %s\nwant    %s", script, got, want)
		}
	}
	r := trace(t, "-e", `kprobe:load_elf_binary#3 { }`)
	if r.status == 0 || !strings.Contains(r.stderr, "there are not 3 functions of the name load_elf_binary, but 2") {
		t.Errorf("a third one: %s", r.stderr)
	}
}
