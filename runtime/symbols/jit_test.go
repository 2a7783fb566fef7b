package symbols

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestLatest checks that where functions overlap, the one listed last is found.
func TestLatest(t *testing.T) {
	funcs := appendPerfMap(nil, []byte("100 100 a\n150 10 b\n1f0 20 c\n300 10 d\n300 10 e\n400 0 none\nx 1 bad\n500 10\n"))
	spans := latest(funcs)
	for addr, want := range map[uint64]string{
		0xff: "", 0x100: "a", 0x14f: "a", 0x150: "b", 0x15f: "b", 0x160: "a", 0x1ef: "a", 0x1f0: "c", 0x20f: "c", 0x210: "", 0x300: "e", 0x400: "", 0x500: "",
	} {
		got := ""
		for _, s := range spans {
			if s.start <= addr && addr < s.end {
				got += s.f.name
			}
		}
		if got != want {
			t.Errorf("%#x is in %q, want %q", addr, got, want)
		}
	}
}

// jitdump returns a jitdump file with two functions: one, which was moved, and two.
func jitdump() []byte {
	le := binary.LittleEndian
	out := le.AppendUint32(nil, dumpMagic)
	for _, v := range []uint32{1, dumpHeader, 62, 0, 7} {
		out = le.AppendUint32(out, v)
	}
	out = append(out, make([]byte, dumpHeader-len(out))...)
	record := func(kind uint32, body []byte) {
		out = le.AppendUint32(out, kind)
		out = le.AppendUint32(out, uint32(recordSize+len(body)))
		out = append(le.AppendUint64(out, 0), body...)
	}
	words := func(v ...uint64) (b []byte) {
		for _, n := range v {
			b = le.AppendUint64(b, n)
		}
		return b
	}
	record(codeLines, append(append(words(0x5000, 2, 0x5000, 3), "a.js\x00"...), append(words(0x5008, 4), "\xff\x00"...)...))
	record(codeLoad, append(words(0, 0x5000, 0x5000, 0x10, 1), "one\x00code"...))
	record(codeLoad, append(words(0, 0x6000, 0x6000, 0x10, 2), "two\x00code"...))
	record(codeMove, words(0, 0x7000, 0x5000, 0x7000, 0x10, 1))
	return out
}

// TestJitdump reads a jitdump file in two parts, cut at each place.
func TestJitdump(t *testing.T) {
	data := jitdump()
	for cut := range data {
		var d dumpReader
		list, rest := d.read(nil, data[:cut])
		list, rest = d.read(list, append(rest, data[cut:]...))
		if len(list) != 3 || len(rest) != 0 {
			t.Fatalf("cut at %d: %+v, %d bytes left", cut, list, len(rest))
		}
		for i, want := range []string{"one 5000 10 2", "two 6000 10 0", "one 7000 10 0"} {
			f := list[i]
			if got := fmt.Sprintf("%s %x %x %d", f.name, f.start, f.size, len(f.lines)); got != want {
				t.Errorf("cut at %d: %s, want %s", cut, got, want)
			}
		}
		if l := list[0].lines[1]; l.file != "a.js" || l.line != 4 || l.addr != 0x5008 {
			t.Errorf("line %+v", l)
		}
	}
}

// TestHostilePerfMap checks that files that are not perf maps of the process are not
// read.
func TestHostilePerfMap(t *testing.T) {
	dir := t.TempDir()
	fifo, link, foreign := filepath.Join(dir, "fifo.map"), filepath.Join(dir, "link.map"), filepath.Join(dir, "foreign.map")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(foreign, []byte("1000 20 f\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	names := []string{fifo, link, dir}
	if os.Getuid() == 0 {
		if err := os.Chown(foreign, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		names = append(names, foreign)
	}
	for _, name := range names {
		var g jitFile
		if data, ok := g.more(name, userOf("/proc/self")); ok {
			t.Errorf("%s: %q", name, data)
		}
	}
}

// FuzzJit reads any data as a jitdump file, in one part and in two, and as a perf map. No
// two functions may be found at one address.
func FuzzJit(f *testing.F) {
	f.Add(jitdump(), uint16(60))
	f.Add([]byte("100 100 a\n150 10 b\nffffffffffffff00 100 c\n1f0 20 c\n"), uint16(3))
	f.Fuzz(func(t *testing.T, data []byte, cut uint16) {
		var whole, parts dumpReader
		list, _ := whole.read(nil, data)
		at := min(int(cut), len(data))
		again, rest := parts.read(nil, data[:at])
		again, _ = parts.read(again, append(rest, data[at:]...))
		if a, b := fmt.Sprint(list), fmt.Sprint(again); a != b && !whole.bad && !parts.bad {
			t.Errorf("in one part %s, in two %s", a, b)
		}
		spans := latest(appendPerfMap(nil, data), list)
		for i, s := range spans {
			if s.end <= s.start || i > 0 && s.start < spans[i-1].end {
				t.Errorf("%#x to %#x after %+v", s.start, s.end, spans[max(0, i-1)])
			}
		}
	})
}

// TestJitFileChanges reads files that grow or get other contents while the process runs. After
// each step, the functions must be those of the file as it is then.
func TestJitFileChanges(t *testing.T) {
	first := "100 10 first\n200 10 second\n"
	long := strings.Repeat("1000 10 x\n", 20000) + "200 10 last\n" // longer than what the checksum covers
	dump, other := jitdump(), bytes.Replace(jitdump(), []byte("two"), []byte("2nd"), 1)
	type step struct{ text, want string }
	text := func(steps ...string) (out []step) {
		for i := 0; i < len(steps); i += 2 {
			out = append(out, step{steps[i], steps[i+1]})
		}
		return out
	}
	for name, steps := range map[string][]step{
		"appended":       text(first, "second", first+"200 10 third\n", "third"),
		"a part of line": text(first, "second", first+"200 10 th", "second", first+"200 10 th", "second", first+"200 10 third\n", "third"),
		"as long":        text(first, "second", "100 10 first\n200 10 zecond\n", "zecond"),
		"longer":         text(first, "second", "1000 10 new\n"+"200 10 other\n300 10 more\n", "other"),
		"longer, gone":   text(first, "second", "1000 10 new\n"+"2000 10 other\n300 10 more\n", ""),
		"shorter":        text(first, "second", "200 10 x\n", "x"),
		"emptied":        text(first, "second", "", "second", "200 10 x\n", "x"), // until there are others
		"large":          text(long, "last", long+"200 10 more\n", "more", strings.Replace(long, "last", "late", 1), "late"),
		"large, shorter": text(long, "last", long[10:], "last", long[20:len(long)-12], ""),
		"dump":           {{string(dump[:len(dump)-99]), ""}, {string(dump), "two"}},
		"dump in parts":  {{string(dump[:len(dump)-70]), ""}, {string(dump[:len(dump)-70]), ""}, {string(dump), "two"}},
		"other dump":     {{string(dump), "two"}, {string(other), "2nd"}},
	} {
		for _, replaced := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", name, replaced), func(t *testing.T) {
				proc := t.TempDir()
				tmp := filepath.Join(proc, "7/root/tmp")
				if err := os.MkdirAll(tmp, 0o755); err != nil {
					t.Fatal(err)
				}
				path, addr := filepath.Join(tmp, "perf-7.map"), uint64(0x200)
				im := &image{}
				if strings.Contains(name, "dump") {
					path, addr = filepath.Join(tmp, "jit-7.dump"), 0x6000
					im.maps = []mapping{{file: &fileID{path: "/tmp/jit-7.dump"}}}
				}
				p, u := newProcess(7), NewUser(View{ProcRoot: proc})
				for i, s := range steps {
					if replaced { // often with the same inode
						os.Remove(path)
					}
					if err := os.WriteFile(path, []byte(s.text), 0o644); err != nil {
						t.Fatal(err)
					}
					p.jit.checked = time.Time{}
					if f := u.jitFrame(p, im, Frame{Addr: addr}); f.Name != s.want && !(replaced && s.text == "") {
						t.Errorf("step %d: %q, want %q", i, f.Name, s.want)
					}
				}
			})
		}
	}
}

// TestTwoDumps reads the jitdump files of a process that maps two, such as its own and that of
// the process that forked it.
func TestTwoDumps(t *testing.T) {
	proc := t.TempDir()
	tmp := filepath.Join(proc, "7/root/tmp")
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		t.Fatal(err)
	}
	im := &image{}
	move := strings.NewReplacer("\x00\x60\x00", "\x00\x90\x00", "two", "own")
	for name, text := range map[string]string{"jit-6.dump": string(jitdump()), "jit-7.dump": move.Replace(string(jitdump()))} {
		if err := os.WriteFile(filepath.Join(tmp, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		im.maps = append(im.maps, mapping{file: &fileID{path: "/tmp/" + name}})
	}
	p, u := newProcess(7), NewUser(View{ProcRoot: proc})
	for range 3 {
		p.jit.checked = time.Time{}
		for addr, want := range map[uint64]string{0x6000: "two", 0x9000: "own", 0x7000: "one"} {
			if f := u.jitFrame(p, im, Frame{Addr: addr}); f.Name != want {
				t.Errorf("%#x is in %q, want %q", addr, f.Name, want)
			}
		}
	}
}

// ownNamespace puts the process with a directory below /proc into the mount namespace of this
// one.
func ownNamespace(t *testing.T, dir string) {
	t.Helper()
	name, err := os.Readlink("/proc/self/ns/mnt")
	if err := errors.Join(err, os.Mkdir(filepath.Join(dir, "ns"), 0o755), os.Symlink(name, filepath.Join(dir, "ns/mnt"))); err != nil {
		t.Fatal(err)
	}
}

// TestEndedPerfMap names generated code of a process that has ended, and its pid namespace and
// /tmp with it. What the process wrote last counts, and not a file that another process with the
// same ID may have left in this process's /tmp.
func TestEndedPerfMap(t *testing.T) {
	const pid = 4194303
	for _, path := range []string{"//anon", "", "[anon:code]", "/memfd:doublemapper (deleted)"} {
		proc := t.TempDir()
		dir := filepath.Join(proc, fmt.Sprint(pid))
		write := func(name, text string) {
			t.Helper()
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(filepath.Join(dir, "root/tmp"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(filepath.Join(dir, "status"), fmt.Sprintf("Name:\tx\nNSpid:\t%d\t12\n", pid))
		ownNamespace(t, dir)
		u := NewUser(View{ProcRoot: proc})
		defer u.Close()
		u.Mapped(pid, Mapping{Start: 0x1000, End: 0x3000, Dev: "00:00", Inode: "0", Path: path})
		u.AwaitFiles(nil)
		write(filepath.Join(dir, "root/tmp/perf-12.map"), "1000 100 early\n2000 100 late\n")
		if err := os.Rename(dir, filepath.Join(proc, "gone")); err != nil {
			t.Fatal(err)
		}
		left := fmt.Sprintf("/tmp/perf-%d.map", pid)
		write(left, "1000 2000 wrong\n")
		defer os.Remove(left)
		if len(u.keep.order) != 1 {
			t.Errorf("%q: %d directories are open", path, len(u.keep.order))
		}
		u.Ended(pid)
		if f := u.Lookup(pid, 0x2010); len(f) != 1 || f[0].Name != "late" || f[0].Offset != 0x10 {
			t.Errorf("%q: %+v", path, f)
		}
		if len(u.keep.order) != 0 {
			t.Errorf("%q: the directory is still open", path)
		}
	}
}

// TestEndedWithoutPerfMap looks up code of processes that have ended and had no perf map, or one
// that belongs to another user. The file of this machine with the process's ID is not theirs.
func TestEndedWithoutPerfMap(t *testing.T) {
	const pid = 4194302
	if os.Geteuid() != 0 {
		t.Skip("files of other users need root")
	}
	left := fmt.Sprintf("/tmp/perf-%d.map", pid)
	if err := os.WriteFile(left, []byte("1000 2000 wrong\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(left)
	for _, foreign := range []bool{false, true} {
		proc := t.TempDir()
		dir := filepath.Join(proc, fmt.Sprint(pid))
		if err := os.MkdirAll(filepath.Join(dir, "root/tmp"), 0o755); err != nil {
			t.Fatal(err)
		}
		u := NewUser(View{ProcRoot: proc})
		defer u.Close()
		ownNamespace(t, dir)
		u.Mapped(pid, Mapping{Start: 0x1000, End: 0x3000, Dev: "00:00", Inode: "0"})
		u.AwaitFiles(nil)
		if foreign {
			name := filepath.Join(dir, "root/tmp", filepath.Base(left))
			if err := errors.Join(os.WriteFile(name, []byte("1000 2000 wrong\n"), 0o644), os.Chown(name, 12345, 0)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Rename(dir, filepath.Join(proc, "gone")); err != nil {
			t.Fatal(err)
		}
		u.Ended(pid)
		if f := u.Lookup(pid, 0x2010); len(f) != 1 || f[0].Name != "" {
			t.Errorf("foreign map %v: %+v", foreign, f)
		}
	}
}

// TestCodeInFiles names generated code in memory that belongs to a file without symbols, such as
// the memfd to which .NET writes its code.
func TestCodeInFiles(t *testing.T) {
	proc := t.TempDir()
	for _, dir := range []string{"7/root/tmp", "7/root/dir"} {
		if err := os.MkdirAll(filepath.Join(proc, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	code := filepath.Join(proc, "7/root/dir/code")
	for name, text := range map[string]string{code: "no ELF file", filepath.Join(proc, "7/root/tmp/perf-7.map"): "1000 100 generated\n"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/memfd:doublemapper (deleted)", "/dir/code", "/dev/zero"} {
		u := NewUser(View{ProcRoot: proc})
		defer u.Close()
		u.Mapped(7, Mapping{Start: 0x1000, End: 0x2000, Dev: "00:01", Path: path})
		if f := u.Lookup(7, 0x1010); len(f) != 1 || f[0].Name != "generated" {
			t.Errorf("%s: %+v", path, f)
		}
		if f := u.Lookup(7, 0x1810); len(f) != 1 || f[0].Name != "" || f[0].Module != strings.TrimSuffix(path, deleted) {
			t.Errorf("%s: %+v", path, f)
		}
	}
}
