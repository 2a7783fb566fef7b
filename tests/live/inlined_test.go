package live

import (
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestInlined checks the source lines and the inlined functions in user stacks, usym
// and func, as text and as JSON.
func TestInlined(t *testing.T) {
	if *peer {
		t.Skip("the peer is built without")
	}
	bin := fixture(t, "inlined")
	// leaf+7 is after the instructions that set up the frame.
	const script = `config = { show_debug_info = 1 } uprobe:BIN:leaf+7 {
		printf("%s|%s|%s\n", ustack(3), usym(reg("ip")), func); @[ustack(perf, 3)] = count(); if (@n++ == 2) { clear(@n); exit(); } }`
	text := strings.ReplaceAll(script, "BIN", bin)
	// Only the last part of a path is the same everywhere.
	path := regexp.MustCompile(`@[^ :]*/`)
	offset := regexp.MustCompile(`(main|work)\+\d+`)
	address := regexp.MustCompile(`\t[0-9a-f]+ `)
	plain := func(s string) string {
		s = offset.ReplaceAllString(path.ReplaceAllString(s, "@"), "$1+N")
		return strings.ReplaceAll(address.ReplaceAllString(s, "\tADDR "), bin, "BIN")
	}
	frames := "        leaf+7@inlined.c:6\n        [inlined] inner@inlined.c:12\n        [inlined] outer@inlined.c:18\n        work+N@inlined.c:24\n        main+N@inlined.c:31\n"
	r := trace(t, "-e", text, "-c", bin)
	r.quiet(t)
	got := plain(r.stdout)
	for _, want := range []string{
		"\n" + frames + "|leaf@inlined.c:6|leaf@inlined.c:6\n",
		"@[\n\tADDR leaf+7 (BIN)\n\tADDR inner (inlined)\n\tADDR outer (inlined)\n\tADDR work+N (BIN)\n\tADDR main+N (BIN)\n]: 3\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	r = trace(t, "-f", "json", "-e", text, "-c", bin)
	if got, want := plain(r.stdout), strings.ReplaceAll("\n"+frames+"|leaf@inlined.c:6|leaf@inlined.c:6\n", "\n", `\n`); strings.Count(got, want) != 3 {
		t.Errorf("no %q in\n%s", want, got)
	}
}

// TestProfiles checks the files of --folded, --pprof and --svg.
func TestProfiles(t *testing.T) {
	if *peer {
		t.Skip("the peer has no such options")
	}
	bin, dir := fixture(t, "inlined"), t.TempDir()
	folded, pprof, svg := filepath.Join(dir, "f"), filepath.Join(dir, "p"), filepath.Join(dir, "s")
	r := trace(t, "--folded", folded, "--pprof", pprof, "--svg", svg, "-e", `uprobe:`+bin+`:leaf+7 { @[comm, ustack(3)] = sum(2) }`, "-c", bin)
	r.quiet(t)
	if strings.Contains(r.stdout, "inlined]") {
		t.Errorf("inlined functions that the script does not ask for:\n%s", r.stdout)
	}
	text, err := os.ReadFile(folded)
	if want := filepath.Base(bin) + ";main;work;outer;inner;leaf 6\n"; err != nil || string(text) != want {
		t.Errorf("folded: %q, %v; want %q", text, err, want)
	}
	if text, err = os.ReadFile(svg); err != nil || !bytes.Contains(text, []byte("<title>outer: 6 (100.00%)</title>")) {
		t.Errorf("svg: %v\n%s", err, text)
	}
	d := xml.NewDecoder(bytes.NewReader(text))
	for err == nil {
		_, err = d.Token()
	}
	if err != io.EOF {
		t.Errorf("svg: %v", err)
	}
	if _, err := exec.LookPath("go"); err == nil {
		out, err := exec.Command("go", "tool", "pprof", "-top", "-lines", pprof).CombinedOutput()
		for _, want := range []string{"leaf ", "inlined.c:6", "outer ", "inlined.c:18 (inline)", "main ", "inlined.c:31", "6   100%"} {
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("pprof prints no %q: %v\n%s", want, err, out)
			}
		}
	} else if st, err := os.Stat(pprof); err != nil || st.Size() == 0 {
		t.Errorf("pprof: %v", err)
	}

	for _, c := range []struct{ script, file, want string }{
		{`begin { @[comm] = count(); exit() }`, folded, "--folded needs a map with stacks as its keys"},
		{`uprobe:` + bin + `:leaf { @[ustack] = count() } begin { exit() }`, filepath.Join(dir, "none"), "no stack was counted"},
		{`uprobe:` + bin + `:leaf { @[ustack] = count() } begin { exit() }`, filepath.Join(dir, "no", "x"), "No such file or directory"},
	} {
		r := trace(t, "--folded", c.file, "-e", c.script)
		if !strings.Contains(r.stderr, c.want) {
			t.Errorf("%s: %q, want %q", c.script, r.stderr, c.want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
		t.Error("a file without stacks was written")
	}
}
