package profile

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
)

var (
	userStack = value.Stack{Frames: []value.Frame{
		{Addr: 0x7f0010, Name: "inner", Module: "/bin/x", BuildID: "ab12", InFile: 0x10, File: "x.c", Line: 7, Inlined: true},
		{Addr: 0x7f0010, Name: "work", Offset: 4, Module: "/bin/x", BuildID: "ab12", InFile: 0x10, File: "x.c", Line: 12},
		{Addr: 0x7f0020, Name: "main", Offset: 1, Module: "/bin/x", BuildID: "ab12", InFile: 0x20, File: "x.c", Line: 20},
	}}
	kernelStack = value.Stack{Kernel: true, Frames: []value.Frame{
		{Addr: 0xffffffff81000010, Name: "vfs_read", Offset: 1, Module: "vmlinux"},
		{Addr: 0xffffffff81000020, Name: "do_syscall_64", Offset: 2, Module: "vmlinux"},
	}}
)

func one(key, v value.Value) []output.Map {
	return []output.Map{{Name: "@", Keyed: true, Entries: []value.Entry{{Key: key, Value: v}}}}
}

// TestFolded checks the stacks of keys, their order, and the sample's value for each
// kind of map value.
func TestFolded(t *testing.T) {
	hist := value.Hist{Buckets: []value.Bucket{{Count: 2}, {Count: 5}}}
	const user = "main;work;inner"
	for _, c := range []struct {
		name string
		maps []output.Map
		want string
	}{
		{"user", one(userStack, value.Uint(3)), user + " 3\n"},
		{"kernel", one(kernelStack, value.Int(3)), "do_syscall_64;vfs_read 3\n"},
		{"both", one(value.Tuple{kernelStack, userStack}, value.Int(1)), user + ";do_syscall_64;vfs_read 1\n"},
		{"both, user first", one(value.Tuple{userStack, kernelStack}, value.Int(1)), user + ";do_syscall_64;vfs_read 1\n"},
		{"labels", one(value.Tuple{value.Str{S: "a;b c\n"}, userStack, value.Int(-7)}, value.Int(1)), "a:b c ;-7;" + user + " 1\n"},
		{"record", one(value.Record{{Name: "c", V: value.Str{S: "sh"}}, {Name: "s", V: value.Tuple{userStack}}}, value.Int(1)), "sh;" + user + " 1\n"},
		{"incomplete", one(value.Tuple{kernelStack, value.Stack{Frames: userStack.Frames, Missing: "too deep"}}, value.Int(1)), "[incomplete: too deep];" + user + ";do_syscall_64;vfs_read 1\n"},
		{"missing", one(value.Stack{Missing: "not a user thread"}, value.Int(1)), "[not a user thread] 1\n"},
		{"empty", one(value.Tuple{value.Str{S: "sh"}, value.Stack{}}, value.Int(1)), "sh;[no stack] 1\n"},
		{"avg", one(userStack, value.Avg{V: value.Int(9)}), user + " 9\n"},
		{"stats", one(userStack, value.Stats{Count: 2, Avg: value.Int(5), Total: value.Int(10)}), user + " 10\n"},
		{"hist", one(userStack, hist), user + " 7\n"},
		{"beyond 64 bits", one(userStack, value.Wide{Hi: 1}), user + " 9223372036854775807\n"},
		{"nothing", one(userStack, value.Int(0)), ""},
		{"negative", one(userStack, value.Int(-1)), ""},
		{"no name", one(value.Stack{Frames: []value.Frame{{Addr: 1, Module: "/lib/libc.so.6"}, {Addr: 2}, {BuildID: "0123456789"}}}, value.Int(1)),
			"[01234567];[unknown];[libc.so.6] 1\n"},
		{"two maps", append(one(userStack, value.Int(1)), output.Map{Name: "@k", Entries: []value.Entry{{Key: kernelStack, Value: value.Int(2)}}}),
			"@;" + user + " 1\n@k;do_syscall_64;vfs_read 2\n"},
	} {
		var b strings.Builder
		if err := WriteFolded(&b, c.maps); err != nil || b.String() != c.want {
			t.Errorf("%s: %q, %v; want %q", c.name, b.String(), err, c.want)
		}
	}
	for name, maps := range map[string][]output.Map{
		"no maps": nil, "no stack": one(value.Int(1), value.Int(2)), "text": one(userStack, value.Str{S: "x"}), "no key": one(nil, value.Int(1)),
	} {
		if err := WriteFolded(io.Discard, maps); !errors.Is(err, ErrNoStacks) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPprof lets go tool pprof read a profile.
func TestPprof(t *testing.T) {
	maps := one(value.Tuple{value.Str{S: "sh"}, userStack, kernelStack}, value.Stats{Count: 2, Avg: value.Int(5), Total: value.Int(10)})
	file := filepath.Join(t.TempDir(), "p")
	err := WriteFile(file, func(f *os.File) error {
		return WritePprof(f, maps, Run{Start: time.Unix(1, 0), Duration: time.Second})
	})
	if err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string][]string{
		"-top -lines":                        {"vfs_read", "inner x.c:7 (inline)", "work x.c:12", "main x.c:20", "Type: samples\n", "10   100%"},
		"-top -sample_index=samples_entries": {"Type: samples_entries", "2   100%"},
		"-tags":                              {"key1", "sh"},
	} {
		out, err := exec.Command("go", append(append([]string{"tool", "pprof"}, strings.Fields(args)...), file)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, w := range want {
			if !bytes.Contains(out, []byte(w)) {
				t.Errorf("pprof %s does not print %q:\n%s", args, w, out)
			}
		}
	}
}

// hostile lists names that programs can give themselves.
var hostile = []string{
	"</title><script>alert(1)</script>", "]]>", "\"'&<>", "a\x00b\x1b[31m", "\xff\xfe", "\u202egnp", strings.Repeat("x", 1<<16), "--> <!--", "", "\ufffe\uffff",
}

// TestHostileNames checks that a flame graph stays well-formed XML with one script,
// and a profile valid, whatever names it has.
func TestHostileNames(t *testing.T) {
	var maps []output.Map
	for _, n := range hostile {
		maps = append(maps, one(value.Tuple{value.Str{S: n}, value.Stack{Frames: []value.Frame{{Name: n, Module: n, File: n, BuildID: n}, {Name: "f"}}}}, value.Int(1))...)
	}
	var b bytes.Buffer
	if err := WriteSVG(&b, hostile[0], maps); err != nil {
		t.Fatal(err)
	}
	scripts := 0
	for d := xml.NewDecoder(&b); ; {
		tok, err := d.Token()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if s, ok := tok.(xml.StartElement); ok && s.Name.Local == "script" {
			scripts++
		}
	}
	if scripts != 1 {
		t.Errorf("%d scripts", scripts)
	}
	if err := WritePprof(io.Discard, maps, Run{}); err != nil {
		t.Error(err)
	}
	b.Reset()
	if err := WriteFolded(&b, maps); err != nil {
		t.Error(err)
	}
	if lines := strings.Count(b.String(), "\n"); lines != len(hostile) {
		t.Errorf("%d lines for %d samples", lines, len(hostile))
	}
}

// TestSVG checks the positions and widths of boxes.
func TestSVG(t *testing.T) {
	maps := one(userStack, value.Int(1))
	maps[0].Entries = append(maps[0].Entries, value.Entry{Key: value.Stack{Frames: userStack.Frames[1:]}, Value: value.Int(3)})
	var b strings.Builder
	if err := WriteSVG(&b, "t", maps); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`<title>all: 4 (100.00%)</title><rect x="10.00"`,
		`<title>work: 4 (100.00%)</title>`,
		`<title>inner: 1 (25.00%)</title><rect x="10.00" y="46" width="295.00"`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in\n%s", want, b.String())
		}
	}
}

// TestWriteFile checks that a failed write leaves the old file and nothing else.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "out")
	if err := os.WriteFile(name, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := WriteFile(name, func(f *os.File) error {
		io.WriteString(f, "half")
		return broken
	})
	if !errors.Is(err, broken) {
		t.Error(err)
	}
	if data, _ := os.ReadFile(name); string(data) != "old" {
		t.Errorf("the file has %q", data)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("%d files", len(list))
	}
	if err := WriteFile(name, func(f *os.File) error { _, err := io.WriteString(f, "new"); return err }); err != nil {
		t.Error(err)
	}
	if data, _ := os.ReadFile(name); string(data) != "new" {
		t.Errorf("the file has %q", data)
	}
	if err := WriteFile(filepath.Join(dir, "none", "x"), func(*os.File) error { return nil }); err == nil {
		t.Error("no error without a directory")
	}
}
