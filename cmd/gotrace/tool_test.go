package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/tests/testkit"
)

// buildTool builds a tool and returns its path.
func buildTool(t *testing.T, args ...string) string {
	t.Helper()
	testkit.NeedRoot(t)
	path := filepath.Join(t.TempDir(), "tool")
	if out, errs, status := gotrace(t, append([]string{"build", "-o", path}, args...)...); status != 0 || out != "" {
		t.Fatalf("build: status %d, %q %q", status, out, errs)
	}
	return path
}

// runs runs a tool and returns its output and exit status.
func runs(t *testing.T, tool string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := exec.Command(tool, args...)
	cmd.Env = append(os.Environ(), asCommand+"=1", "BPFTRACE_COLOR=never")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// summing is a script with a known result: it sums the numbers from 0 up to $1.
const summing = `begin { for ($i : 0..$1) { @s = sum($i); @c[$i % 2] = count(); } printf("%d of %s\n", $1, str($2)); exit(3); }`

// TestTool checks that a tool produces the script's results, both with its prebuilt
// object and when it compiles the script.
func TestTool(t *testing.T) {
	const compiled = "Compiling stdin: "
	bin := buildTool(t, "-q", "-e", summing, "100", "x")
	for _, c := range []struct {
		args []string
		out  string
		errs string // its message on why it compiles; "" if it does not
	}{
		{nil, "100 of x\n@c[0]: 50\n@c[1]: 50\n@s: 4950", ""},
		{[]string{"100", "x"}, "100 of x\n@c[0]: 50\n@c[1]: 50\n@s: 4950", ""},
		{[]string{"10", "y"}, "10 of y\n@c[0]: 5\n@c[1]: 5\n@s: 45", "it was built with other options"},
		{[]string{"-k"}, "100 of x\n@c[0]: 50\n@c[1]: 50\n@s: 4950", "it was built with other options"},
		{[]string{"-f", "json"}, `{"type": "printf", "data": "100 of x\n"}` + "\n" + `{"type": "map", "data": {"@c": {"0": 50, "1": 50}}}` + "\n" + `{"type": "map", "data": {"@s": 4950}}`, ""},
	} {
		out, errs, status := runs(t, bin, append([]string{"-v"}, c.args...)...)
		lines := strings.FieldsFunc(out, func(r rune) bool { return r == '\n' })
		if got := strings.Join(lines, "\n"); got != c.out || status != 3 {
			t.Errorf("%q: status %d, %q, want %q; %s", c.args, status, got, c.out, errs)
		}
		if strings.Contains(errs, compiled) != (c.errs != "") || !strings.Contains(errs, c.errs) {
			t.Errorf("%q: it says %q, want %q", c.args, errs, c.errs)
		}
	}
}

// readFile is readTool for the file at path.
func readFile(path string) (*tool, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	return readTool(f)
}

// changeTool rewrites a tool after change has modified its payload.
func changeTool(t *testing.T, path string, change func(*tool)) {
	t.Helper()
	p, base, err := readFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	change(p)
	if data, err = appendTool(data[:base], p); err == nil {
		err = os.WriteFile(path, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestToolElsewhere changes one of the object's needs at a time and checks that the
// tool compiles its script.
func TestToolElsewhere(t *testing.T) {
	for name, change := range map[string]func(*object.Object){
		"it was compiled for another kernel":  func(o *object.Object) { o.Needs.Kernel = "x" },
		"it was compiled for another machine": func(o *object.Object) { o.Needs.CPUs++ },
		"the kernel was booted since":         func(o *object.Object) { o.Needs.Boot = "x" },
		"other modules are loaded":            func(o *object.Object) { o.Needs.Modules = "x" },
		"it depends on the weather":           func(o *object.Object) { o.Needs.OnlyNow = "the weather" },
		"/no/such has changed":                func(o *object.Object) { o.Needs.AddFile("/proc/self/exe", ""); o.Needs.Files[0].Path = "/no/such" },
		"nosuch is not /bin/nosuch":           func(o *object.Object) { o.Needs.AddTarget("nosuch", "/bin/nosuch") },
		"tracepoint sched:sched_switch has changed": func(o *object.Object) {
			o.Needs.Tracepoints = []object.Tracepoint{{Category: "sched", Event: "sched_switch", Format: "x"}}
		},
	} {
		bin := buildTool(t, "-q", "-e", summing, "100", "x")
		changeTool(t, bin, func(p *tool) {
			o, err := object.Decode(p.object)
			if err != nil {
				t.Fatal(err)
			}
			change(o)
			p.object = object.Encode(o)
		})
		out, errs, status := runs(t, bin, "-v")
		if status != 3 || !strings.HasPrefix(out, "100 of x\n") || !strings.Contains(out, "@s: 4950") || !strings.Contains(errs, "Compiling stdin: "+name+"\n") {
			t.Errorf("%s: status %d, %q %q", name, status, out, errs)
		}
	}
	// The script is also compiled if the kernel refuses the object, or if its bytes
	// are not an object.
	for _, object_ := range [][]byte{nil, []byte("nonsense")} {
		bin := buildTool(t, "-q", "-e", summing, "100", "x")
		changeTool(t, bin, func(p *tool) { p.object = object_ })
		if out, errs, status := runs(t, bin); status != 3 || !strings.Contains(out, "@s: 4950") {
			t.Errorf("object %q: status %d, %q %q", object_, status, out, errs)
		}
	}
	bin := buildTool(t, "-q", "-e", summing, "100", "x")
	changeTool(t, bin, func(p *tool) {
		o, err := object.Decode(p.object)
		if err != nil {
			t.Fatal(err)
		}
		o.Programs[0].Insns = o.Programs[0].Insns[:1]
		o.Programs[0].Funcs = nil
		p.object = object.Encode(o)
	})
	if out, errs, status := runs(t, bin); status != 3 || !strings.Contains(out, "@s: 4950") {
		t.Errorf("refused: status %d, %q %q", status, out, errs)
	}
}

// TestToolReadsNoScript checks that a tool with an object for this kernel starts without
// its script: it neither parses nor compiles it, so its text may be anything.
func TestToolReadsNoScript(t *testing.T) {
	bin := buildTool(t, "-q", "-e", summing, "100", "x")
	changeTool(t, bin, func(p *tool) { p.Text = "begin {" })
	if out, errs, status := runs(t, bin); status != 3 || !strings.Contains(out, "@s: 4950") {
		t.Errorf("status %d, %q %q", status, out, errs)
	}
	if out, errs, status := runs(t, bin, "10", "y"); status == 3 || !strings.Contains(errs, "ERROR: syntax") {
		t.Errorf("with other parameters it must read the script: status %d, %q %q", status, out, errs)
	}
}

// TestToolIncludes checks that a tool contains the files that its script includes.
func TestToolIncludes(t *testing.T) {
	dir := t.TempDir()
	inc := filepath.Join(dir, "inc")
	os.Mkdir(inc, 0o755)
	os.WriteFile(filepath.Join(inc, "n.h"), []byte("#include \"deep.h\"\n"), 0o644)
	os.WriteFile(filepath.Join(inc, "deep.h"), []byte("#define N 42\nstruct s { int a; long b; };\n"), 0o644)
	script := filepath.Join(dir, "s.bt")
	os.WriteFile(script, []byte("#include \"n.h\"\nbegin { printf(\"%d %d\\n\", N, sizeof(struct s)); exit(); }\n"), 0o644)
	for _, extra := range [][]string{nil, {"--source-only"}} {
		bin := buildTool(t, append(extra, "-q", "-I", inc, script)...)
		moved := inc + "-moved"
		if err := os.Rename(inc, moved); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"-q"}, {"-k"}} {
			if out, errs, status := runs(t, bin, args...); status != 0 || !strings.HasPrefix(out, "42 16\n") {
				t.Errorf("%q: status %d, %q %q", extra, status, out, errs)
			}
		}
		os.Rename(moved, inc)
	}
}

func TestToolHelp(t *testing.T) {
	script := filepath.Join(t.TempDir(), "s.bt")
	os.WriteFile(script, []byte("#!/usr/bin/gotrace\n// Counts what\n// there is.\n\n// not this\nbegin { $n = getopt(\"limit\", 5, \"how many\"); printf(\"%d %d\\n\", $n, $2); exit(); }\n"), 0o644)
	bin := buildTool(t, script, "1", "2")
	out, _, status := runs(t, bin, "--help")
	for _, want := range []string{"tool - built from " + script, "\nCounts what\nthere is.\n", "tool [options] [$1] [$2]\n", "\n    --limit  how many (default: 5)\n", "-f FORMAT", "-p, --pid PID", "-o, --output FILE"} {
		if !strings.Contains(out, want) {
			t.Errorf("the help text lacks %q", want)
		}
	}
	if status != 0 || strings.Contains(out, "--fmt") || strings.Contains(out, "not this") {
		t.Errorf("status %d\n%s", status, out)
	}
	for _, args := range [][]string{{"--limit=9"}, {"--", "--limit=9"}} {
		if out, errs, _ := runs(t, bin, args...); !strings.Contains(out, "9 2\n") {
			t.Errorf("%q: %q %q", args, out, errs)
		}
	}
}

func TestBuildErrors(t *testing.T) {
	testkit.NeedRoot(t)
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-e", "begin { }"}, "needs -o TOOL"},
		{[]string{"-o", dir + "/x"}, "filename or -e 'program' required"},
		{[]string{"-o", dir + "/no/such/x", "-e", "begin { }"}, "cannot write '" + dir + "/no/such/x'"},
		{[]string{"-o", dir, "-e", "begin { }"}, "it is not a file"},
		{[]string{"-o", dir + "/x", "-p", "1", "-e", "begin { }"}, "-p and -c belong to the run"},
		{[]string{"-o", dir + "/x", "-l", "-e", "begin { }"}, "runs nothing"},
		{[]string{"-o", dir + "/x", "-e", "begin {"}, "ERROR: "},
		{[]string{"-o", dir + "/x", "-e", "usdt:probe { }"}, "--source-only"},
		{[]string{"-o", dir + "/x", dir + "/none.bt"}, "failed to open file"},
		{[]string{"-o", dir + "/x", "-e", "begin { }", "--", "--n=1"}, "unexpected program command line options"},
	} {
		out, errs, status := gotrace(t, append([]string{"build"}, c.args...)...)
		if status != 1 || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("%q: status %d, %q %q, want %q", c.args, status, out, errs, c.want)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%v was left", left)
	}
}

// TestDamagedTool checks that an incomplete tool reports an error, and that a tool does
// not build other tools.
func TestDamagedTool(t *testing.T) {
	bin := buildTool(t, "-e", "begin { exit(); }")
	if _, errs, status := runs(t, bin, "build", "-o", bin+"2", "-e", "begin { }"); status != 1 || !strings.Contains(errs, "cannot build others") {
		t.Errorf("status %d, %q", status, errs)
	}
	for _, args := range [][]string{{"-e", "begin { }"}, {"--info"}} {
		if _, errs, status := runs(t, bin, args...); status != 1 || !strings.Contains(errs, "and no other") {
			t.Errorf("%q: status %d, %q", args, status, errs)
		}
	}
	data, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	_, base, err := readFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{len(data) - 1, len(data) - trailerSize, len(data) - trailerSize - 1, int(base) + (len(data)-int(base))/2, int(base) + len(payloadHead),
		int(base) + 1, int(base) - 1, int(base) - 1000, int(base) / 2, 4096, 200, 64} {
		os.WriteFile(bin, data[:size], 0o755)
		if _, _, err := readFile(bin); err != errDamaged {
			t.Errorf("%d bytes of %d, %d for the binary: %v", size, len(data), base, err)
		}
	}
	// The binary alone is gotrace.
	os.WriteFile(bin, data[:base], 0o755)
	if p, n, err := readFile(bin); p != nil || n != base || err != nil {
		t.Errorf("the binary alone: %v, %d bytes, %v", p, n, err)
	}
	for _, at := range []int{len(data) - trailerSize, len(data) - trailerSize + 10, len(data) - trailerSize + 20, int(base) + len(payloadHead) + 5} {
		bad := bytes.Clone(data)
		bad[at] ^= 0x41
		os.WriteFile(bin, bad, 0o755)
		if _, _, err := readFile(bin); err != errDamaged {
			t.Errorf("byte %d changed: %v", at, err)
		}
	}
	if _, errs, status := runs(t, bin); status != 1 || !strings.Contains(errs, "this binary is damaged") {
		t.Errorf("status %d, %q", status, errs)
	}
}

// TestToolWithoutProc checks that a tool finds its script if /proc is not mounted, and
// that it reports an error if it cannot.
func TestToolWithoutProc(t *testing.T) {
	bin := buildTool(t, "-e", "// Says hello.\nbegin { printf(\"hello\\n\"); exit(); }")
	for _, c := range []struct{ path, arg0, want string }{
		{"/", bin, "Says hello."},
		{filepath.Dir(bin), "tool", "Says hello."},
		{"/", "nothing", "cannot read our own binary, which may contain a script: open /proc/self/exe: no such file or directory: mount /proc"},
	} {
		// In its mount namespace, /proc is empty.
		cmd := exec.Command("bash", "-c", `mount -t tmpfs none /proc && PATH=$1 exec -a "$2" "$0" --help`, bin, c.path, c.arg0)
		cmd.Env = append(os.Environ(), asCommand+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		if (err == nil) != (c.arg0 != "nothing") || !strings.Contains(string(out), c.want) {
			t.Errorf("called %s: %v, %q", c.arg0, err, out)
		}
	}
}

// TestBuildOverItself checks that gotrace does not write a tool over its own binary, by
// whatever name.
func TestBuildOverItself(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "gotrace")
	exe, err := os.ReadFile(selfExe)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(own, exe, 0o755); err != nil {
		t.Fatal(err)
	}
	names := map[string]func(string) error{
		"gotrace": func(string) error { return nil },
		"link":    func(path string) error { return os.Link(own, path) },
		"symlink": func(path string) error { return os.Symlink(own, path) },
	}
	for name, make := range names {
		path := filepath.Join(dir, name)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		_, errs, status := runs(t, own, "build", "--source-only", "-o", path, "-e", "begin { exit(); }")
		if want := "ERROR: cannot write '" + path + "': it is the gotrace that builds the tool\n"; status != 1 || errs != want {
			t.Errorf("%s: status %d, %q, want %q", name, status, errs, want)
		}
		if now, err := os.ReadFile(own); err != nil || !bytes.Equal(now, exe) {
			t.Fatalf("%s: the binary has changed (%v)", name, err)
		}
	}
}

// TestToolKey checks that a tool does not use its prebuilt programs if they would differ
// with the flags that it is given.
func TestToolKey(t *testing.T) {
	key := func(args ...string) string {
		o, err := parseFlags(append([]string{"-e", "begin {}"}, args...))
		if err != nil {
			t.Fatal(err)
		}
		return (&app{opt: o}).key()
	}
	for _, c := range []struct {
		args []string // the last ones are added when the tool is run
		n    int
		same bool
	}{
		{[]string{"--max-overhead=2%"}, 1, false},
		{[]string{"--max-overhead=2%", "--max-overhead=3%"}, 1, true},
		{[]string{"-f=csv"}, 1, true},
		{[]string{"--recorder=1M", "-f=csv"}, 1, false},
		{[]string{"--recorder=1M", "--otlp=127.0.0.1:4318"}, 1, false},
		{[]string{"--recorder=1M", "-f=json"}, 1, true},
		{[]string{"--perfetto=out"}, 1, false},
		{[]string{"--spans", "--otlp=127.0.0.1:4318"}, 2, false},
		{[]string{"--pcap=out"}, 1, false},
		{[]string{"-k"}, 1, false},
		{[]string{"--unsafe"}, 1, false},
		{[]string{"--comm=x"}, 1, false},
		{[]string{"--html=out", "--every=1s"}, 2, true},
	} {
		built := c.args[:len(c.args)-c.n]
		if same := key(built...) == key(c.args...); same != c.same {
			t.Errorf("built with %q, run with %q: the same key: %t", built, c.args, same)
		}
	}
}
