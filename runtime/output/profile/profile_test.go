package profile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

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
	err := output.WriteFile(file, func(f *os.File) error {
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

// TestHostileNames checks that profiles are valid whatever names they have.
func TestHostileNames(t *testing.T) {
	var maps []output.Map
	for _, n := range hostile {
		maps = append(maps, one(value.Tuple{value.Str{S: n}, value.Stack{Frames: []value.Frame{{Name: n, Module: n, File: n, BuildID: n}, {Name: "f"}}}}, value.Int(1))...)
	}
	if err := WritePprof(io.Discard, maps, Run{}); err != nil {
		t.Error(err)
	}
	var b bytes.Buffer
	if err := WriteFolded(&b, maps); err != nil {
		t.Error(err)
	}
	if lines := strings.Count(b.String(), "\n"); lines != len(hostile) {
		t.Errorf("%d lines for %d samples", lines, len(hostile))
	}
	b.Reset()
	if err := WriteSpeedscope(&b, hostile[0], maps); err != nil {
		t.Error(err)
	}
	if !json.Valid(b.Bytes()) || !utf8.Valid(b.Bytes()) {
		t.Errorf("not JSON: %q", b.Bytes())
	}
}

// TestSpeedscope checks the members of a file.
func TestSpeedscope(t *testing.T) {
	maps := one(value.Tuple{value.Str{S: "sh"}, userStack}, value.Int(2))
	maps[0].Entries = append(maps[0].Entries,
		value.Entry{Key: value.Stack{Frames: userStack.Frames[1:]}, Value: value.Int(3)},
		value.Entry{Key: userStack, Value: value.Int(0)}, value.Entry{Key: userStack, Value: value.Int(-4)})
	maps = append(maps, output.Map{Name: "@k", Entries: []value.Entry{
		{Key: kernelStack, Value: value.Wide{Hi: 1}}, {Key: kernelStack, Value: value.Int(1)},
	}})
	var b strings.Builder
	if err := WriteSpeedscope(&b, "t", maps); err != nil {
		t.Fatal(err)
	}
	const want = `{"$schema":"https://www.speedscope.app/file-format-schema.json","exporter":"gotrace","name":"t",` +
		`"shared":{"frames":[{"name":"sh"},{"name":"main","file":"x.c","line":20},{"name":"work","file":"x.c","line":12},{"name":"inner","file":"x.c","line":7},` +
		`{"name":"do_syscall_64"},{"name":"vfs_read"}]},"profiles":[` +
		`{"type":"sampled","name":"@","unit":"none","startValue":0,"endValue":5,"samples":[[0,1,2,3],[1,2]],"weights":[2,3]},` +
		`{"type":"sampled","name":"@k","unit":"none","startValue":0,"endValue":9223372036854775807,"samples":[[4,5],[4,5]],"weights":[9223372036854775807,1]}]}` + "\n"
	if b.String() != want {
		t.Errorf("got  %s\nwant %s", b.String(), want)
	}
	if err := WriteSpeedscope(io.Discard, "t", one(value.Int(1), value.Int(1))); !errors.Is(err, ErrNoStacks) {
		t.Error(err)
	}
}

// TestTree checks the boxes of a flame graph.
func TestTree(t *testing.T) {
	m := one(userStack, value.Int(1))[0]
	m.Entries = append(m.Entries, value.Entry{Key: value.Stack{Frames: userStack.Frames[1:]}, Value: value.Int(3)}, value.Entry{Key: kernelStack, Value: value.Int(-3)})
	var text func(b *Box) string
	text = func(b *Box) string {
		out := fmt.Sprintf("%s:%d:%d", b.Name, b.Kind, b.Weight)
		for _, c := range b.Children {
			out += "(" + text(c) + ")"
		}
		return out
	}
	root := Tree(m)
	if got, want := text(root), "all:0:4(main:1:4(work:1:4(inner:3:1)))"; got != want || root.Depth() != 4 {
		t.Errorf("%s, depth %d, want %s", got, root.Depth(), want)
	}
	if Tree(one(value.Int(1), value.Int(1))[0]) != nil {
		t.Error("a tree without stacks")
	}
}
