package live

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	for probe, want := range map[string]string{
		"kprobe:load_elf_binary#3":   "there are not 3 functions of the name load_elf_binary, but 2",
		"fentry:load_elf_binary#1":   "kprobe:load_elf_binary#1 can",
		"fexit:load_elf_binary@f.c":  "kprobe:load_elf_binary@f.c can",
		"kprobe:load_elf_binary@f.c": "function load_elf_binary is in f.c",
	} {
		if r := trace(t, "-e", probe+" { }"); r.status == 0 || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: status %d, and no %q: %s", probe, r.status, want, r.stderr)
		}
	}
}

// TestUserHomonyms attaches to two static functions of one name. Both are attached, `probe`
// and `func` distinguish them, and a number or the source file selects one.
func TestUserHomonyms(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("bpftrace attaches to one of them")
	}
	if *given != "" {
		t.Skip("there is no compiler")
	}
	dir := t.TempDir()
	unit := func(add int) string {
		return fmt.Sprintf(`#include "both.h"
static int __attribute__((noinline)) twin(int x) { __asm__ volatile(""); return x + %[1]d; }
int from%[1]d(int x) { return both(twin(x)) * 2; }
`, add)
	}
	writeFiles(t, dir, map[string]string{
		"both.h": "static int __attribute__((noinline)) both(int x) { __asm__ volatile(\"\"); return x; }\n",
		"one.x":  unit(1), "two.x": unit(100),
		"main.x": `int from1(int), from100(int);
int odd(void) __asm__("odd.lto_priv.7"); // as with -flto
int odd(void) { return 1; }
int main(void) { int sum = 0; for (int i = 0; i < 8; i++) sum += i < 3 ? from1(i) : from100(i); return sum == 0; }
`})
	for _, c := range []struct {
		name, cc, lang string
		flags          []string
		symbol, shown  string // the function's name, and the one that results show
		bare           bool   // it has no debug info
		probes         []string
	}{
		{"C", "cc", "c", []string{"-O1", "-g"}, "twin", "twin", false, []string{"uprobe:twin", "uprobe:twin@two.x", "uretprobe:*twi*", "uretprobe:twin#1"}},
		{"C without debug info", "cc", "c", []string{"-O2"}, "twin", "twin", true, []string{"uprobe:twin#2", "uretprobe:twin@one.x"}},
		{"C++", "c++", "c++", []string{"-O1", "-g"}, "_ZL4twini", "twin(int)", false, []string{"uprobe:*twi*", "uretprobe:twin#2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bin := filepath.Join(dir, c.lang+c.flags[len(c.flags)-1])
			cmd := exec.Command(c.cc, append(c.flags, "-o", bin, "-x", c.lang, "one.x", "two.x", "main.x")...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Skipf("%v\n%s", err, out)
			}
			script, want := "", ""
			for i, p := range c.probes {
				kind, at, _ := strings.Cut(p, ":")
				script += fmt.Sprintf("%s:BIN:%s { @a%d[probe, func] = count(); }\n", kind, at, i)
				for n, num := range []string{"#1", "#2"} {
					name := c.shown + num
					if isPattern := strings.Contains(at, "*"); isPattern {
						name = c.symbol + num
					}
					if strings.HasSuffix(at, num) || strings.HasSuffix(at, []string{"@one.x", "@two.x"}[n]) || !strings.ContainsAny(at, "#@") {
						want += fmt.Sprintf("\n@a%d[%s:BIN:%s, %s%s]: %d", i, kind, name, c.shown, num, 3+2*n)
					}
				}
			}
			if !c.bare {
				script += "uprobe:BIN:twin#2 { @t = sum(args.x); } uprobe:BIN:both@both.h { @u = sum(args.x); }"
				want += "\n@t: 25\n@u: 531"
			}
			prints(t, bin, script, want)
			script = ""
			wants := map[string]string{
				"twin#3":          "there are not 3 functions of the name twin, but 2",
				"from1#2":         "there are not 2 functions of the name from1, but 1",
				"twin@three.x":    "no function twin is in three.x: those of that name are in one.x, two.x",
				"odd":             "did you mean 'odd.lto_priv.7'?",
				"nothing#2":       "No matches for uprobe BIN:nothing#2",
				"twin#2+1000":     "Offset outside the function bounds",
				"from100@three.x": map[bool]string{true: "those of that name are in a file that is not known", false: "those of that name are in two.x"}[c.bare],
			}
			for at := range wants {
				script += "uprobe:" + bin + ":" + at + " { }\n"
			}
			r := trace(t, "-e", script)
			for at, want := range wants {
				if r.status == 0 || !strings.Contains(strings.ReplaceAll(r.stderr, bin, "BIN"), want) {
					t.Errorf("%s: status %d, and no %q: %s", at, r.status, want, r.stderr)
				}
			}
		})
	}
}

// writeFiles writes files with the given texts to a directory.
func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestVersions attaches to the versions of a function that a library exports. Results show
// one name for them.
func TestVersions(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("bpftrace attaches to one of them")
	}
	if *given != "" {
		t.Skip("there is no compiler")
	}
	dir := t.TempDir()
	lib := filepath.Join(dir, "libtwo.so")
	writeFiles(t, dir, map[string]string{
		"lib.c": `__asm__(".symver first, two@V1"); __asm__(".symver second, two@@V2");
			int first(int x) { return x; } int second(int x) { return x + 1; }`,
		"lib.map": "V1 { global: two; local: *; }; V2 { } V1;",
		"main.c": `__asm__(".symver first, two@V1"); int first(int), two(int);
			int main(void) { return first(3) + two(1) + two(2) - 8; }`,
	})
	for _, args := range [][]string{
		{"-shared", "-fPIC", "-O1", "-o", "libtwo.so", "lib.c", "-Wl,--version-script=lib.map"},
		{"-O1", "-o", "main", "main.c", "-L.", "-ltwo", "-Wl,-rpath," + dir},
	} {
		cmd := exec.Command("gcc", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("%v\n%s", err, out)
		}
	}
	for at, want := range map[string]string{
		"two":   "@[LIB:two]: 3\n@f[two]: 1\n@f[two]: 2", // func holds an address
		"two#1": "@[LIB:two]: 1\n@f[two]: 1",
		"two#2": "@[LIB:two]: 2\n@f[two]: 2",
	} {
		r := trace(t, "-c", filepath.Join(dir, "main"), "-e", "uprobe:"+lib+":"+at+" { @[probe] = count(); @f[func] = count(); }")
		r.quiet(t)
		want = strings.ReplaceAll(want, "LIB", "uprobe:"+lib)
		if got := strings.ReplaceAll(strings.TrimSpace(r.stdout), "\n\n", "\n"); r.status != 0 || got != want {
			t.Errorf("%s: status %d, printed\n%s\nwant\n%s", at, r.status, got, want)
		}
	}
}
