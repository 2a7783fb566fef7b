package elfobj_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/object/elfobj"
	"github.com/gotrace/gotrace/runtime/object/layout"
	"github.com/gotrace/gotrace/tests/testkit"
)

// script sends an event and counts for each call of getpgid(1000007). It uses
// everything that an object file must describe: literals, a callback, slots,
// per-CPU values.
const script = `tracepoint:syscalls:sys_enter_getpgid /args.pid == 1000007/ {
  @calls[args.pid, "call"] = count();
  @last = args.pid;
  for ($i : 0..3) { @turn[$i] = $i * 10; }
  printf("%s %d %d\n", str("text"), args.pid, -7);
  print((args.pid, (uint8)3, "tuple"));
}
`

func compile(t *testing.T, text string) *object.Object {
	t.Helper()
	var diags source.Diags
	obj, err := codegen.Compile(source.NewFile("script.bt", text), codegen.Request{
		Env: &probes.Env{Kernel: kernel.Live()}, ForeignReaders: true,
	}, &diags)
	if err != nil || obj == nil {
		t.Fatal(err, diags.All())
	}
	return obj
}

func write(t *testing.T, obj *object.Object) []byte {
	t.Helper()
	f, err := elfobj.FromObject(obj)
	if err != nil {
		t.Fatal(err)
	}
	data, err := elfobj.Write(f)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// file compiles a script and writes its object file.
func file(t *testing.T, text string) string {
	t.Helper()
	testkit.NeedRoot(t)
	path := filepath.Join(t.TempDir(), "tool.o")
	if err := os.WriteFile(path, write(t, compile(t, text)), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const calls = 5

func wantEvents() []any {
	var want []any
	for range calls {
		want = append(want,
			[]any{"printf", "%s %d %d\n", []any{int64(1000007)}},
			[]any{"print", "", []any{[]any{int64(1000007), uint64(3), "tuple"}}})
	}
	return want
}

// decode decodes ring buffer records into the form that wantEvents returns.
func decode(t *testing.T, l *layout.Layout, records [][]byte) []any {
	t.Helper()
	var got []any
	for _, r := range records {
		ev, err := l.Decode(r)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, []any{ev.Builtin, ev.Format, ev.Args})
	}
	return got
}

// TestLoadByEbpf loads, attaches and reads the file with cilium/ebpf.
func TestLoadByEbpf(t *testing.T) {
	path := file(t, script)
	l, err := layout.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := ebpf.LoadCollectionSpec(path)
	if err != nil {
		t.Fatal(err)
	}
	coll, err := ebpf.NewCollection(spec)
	if err != nil {
		t.Fatal(err)
	}
	defer coll.Close()
	for _, p := range coll.Programs {
		tp, err := link.Tracepoint("syscalls", "sys_enter_getpgid", p, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tp.Close()
	}
	ring, err := ringbuf.NewReader(coll.Maps["events"])
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	for range calls {
		unix.Getpgid(1000007)
	}
	var records [][]byte
	for range 2 * calls {
		r, err := ring.Read()
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, r.RawSample)
	}
	if d := cmp.Diff(wantEvents(), decode(t, l, records)); d != "" {
		t.Errorf("events (- want, + got):\n%s", d)
	}
	checkMaps(t, coll, l)
}

// checkMaps compares the maps' values with the expected results of the calls.
func checkMaps(t *testing.T, coll *ebpf.Collection, l *layout.Layout) {
	t.Helper()
	got := map[string]any{}
	for i := range l.Maps {
		m := &l.Maps[i]
		switch m.Kept {
		case "slot":
			var elem []byte
			if err := coll.Maps[".data."+m.Kernel].Lookup(uint32(0), &elem); err != nil {
				t.Fatal(err)
			}
			v, err := m.Value.Decode(elem[m.Off:])
			if err != nil {
				t.Fatal(err)
			}
			got[m.Name] = v
		case "hash":
			for k, v := range entries(t, coll.Maps[m.Kernel], m) {
				got[m.Name+k] = v
			}
		default:
			t.Errorf("%s is kept in the way %q", m.Name, m.Kept)
		}
	}
	want := map[string]any{
		"@last": int64(1000007), "@calls[1000007 call]": uint64(calls),
		"@turn0": int64(0), "@turn1": int64(10), "@turn2": int64(20),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("maps (- want, + got):\n%s", d)
	}
}

// entries reads a hash map. For an aggregation, which here is a count, it adds up
// the values of all CPUs.
func entries(t *testing.T, km *ebpf.Map, m *layout.Map) map[string]any {
	t.Helper()
	out := map[string]any{}
	var key, val []byte
	var cpus [][]byte
	it := km.Iterate()
	for m.PerCPU && it.Next(&key, &cpus) || !m.PerCPU && it.Next(&key, &val) {
		k, err := m.Key.Decode(key)
		if err != nil {
			t.Fatal(err)
		}
		if m.PerCPU {
			var sum uint64
			for _, c := range cpus {
				sum += binary.NativeEndian.Uint64(c)
			}
			out[fmt.Sprint(k)] = sum
			continue
		}
		v, err := m.Value.Decode(val)
		if err != nil {
			t.Fatal(err)
		}
		out[fmt.Sprint(k)] = v
	}
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestLoadByBpftool loads the file with bpftool and checks that the kernel's dump
// of the program contains the script's lines.
func TestLoadByBpftool(t *testing.T) {
	bpftool, err := exec.LookPath("bpftool")
	if err != nil {
		t.Skip("needs bpftool: ", err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs("/sys/fs/bpf", &fs); err != nil || fs.Type != unix.BPF_FS_MAGIC {
		if err := unix.Mount("bpf", "/sys/fs/bpf", "bpf", 0, ""); err != nil {
			t.Skip("needs the bpf file system: ", err)
		}
	}
	loadall := func(t *testing.T, text string) string {
		dir := fmt.Sprintf("/sys/fs/bpf/gotrace-test-%d", os.Getpid())
		t.Cleanup(func() { os.RemoveAll(dir) })
		if out, err := exec.Command(bpftool, "prog", "loadall", file(t, text), dir).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return dir
	}
	// One script for each kind of map.
	for _, text := range []string{
		`profile:hz:99 { @[kstack, ustack] = count(); }`,
		`profile:hz:99 { @[ustack(dwarf)] = count(); }`,
		`profile:hz:99 { @a[comm, tid] = hist(5); @b[str(5)] = 1; @c = stats(7); @d[tid] = 3; @e = lhist(1, 0, 1000, 1); }`,
	} {
		t.Run(text, func(t *testing.T) { loadall(t, text) })
	}
	dir := loadall(t, script)
	pins, err := os.ReadDir(dir)
	if err != nil || len(pins) != 1 {
		t.Fatalf("%d programs, %v", len(pins), err)
	}
	out, err := exec.Command(bpftool, "prog", "dump", "xlated", "pinned", filepath.Join(dir, pins[0].Name()), "linum").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for i, line := range strings.Split(strings.TrimSpace(script), "\n")[:6] {
		if want := fmt.Sprintf("; %s [file:script.bt line_num:%d ", strings.TrimSpace(line), i+1); !strings.Contains(string(out), want) {
			t.Errorf("the dump has no line %q", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}

// TestLoadByLibbpf loads, attaches and reads the file with a C program.
func TestLoadByLibbpf(t *testing.T) {
	path := file(t, script)
	if _, err := os.Stat("/usr/include/bpf/libbpf.h"); err != nil {
		t.Skip("needs libbpf's headers: ", err)
	}
	reader := filepath.Join(t.TempDir(), "reader")
	if out, err := exec.Command("gcc", "-o", reader, "testdata/reader.c", "-lbpf").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(reader, path, fmt.Sprint(calls))
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	var records [][]byte
	for line := range strings.Lines(stdout.String()) {
		r, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	l, err := layout.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(wantEvents(), decode(t, l, records)); d != "" {
		t.Errorf("events (- want, + got):\n%s", d)
	}
}

// TestSections checks the section names, from which libbpf derives the attach
// points.
func TestSections(t *testing.T) {
	k, err := kernel.Frozen("../../../tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	for script, want := range map[string]string{
		`tracepoint:syscalls:sys_enter_read { @ = 1 }`:                                     "tracepoint/syscalls/sys_enter_read",
		`tracepoint:syscalls:sys_enter_read,tracepoint:syscalls:sys_enter_write { @ = 1 }`: "tracepoint/syscalls/sys_enter_read tracepoint/syscalls/sys_enter_write",
		`kprobe:vfs_read { @ = 1 }`:                                                        "kprobe/vfs_read",
		`kprobe:vfs_read+4 { @ = 1 }`:                                                      "kprobe/vfs_read+4",
		`kretprobe:vfs_read { @ = 1 }`:                                                     "kretprobe/vfs_read",
		`fentry:vfs_read { @ = 1 }`:                                                        "fentry/vfs_read",
		`fexit:vfs_read { @ = 1 }`:                                                         "fexit/vfs_read",
		`rawtracepoint:sched_switch { @ = 1 }`:                                             "tp_btf/sched_switch",
		`profile:hz:99 { @ = 1 }`:                                                          "perf_event",
		`iter:task { print(ctx.task.pid) }`:                                                "iter/task",
	} {
		var diags source.Diags
		obj, err := codegen.Compile(source.NewFile("x", script), codegen.Request{Env: &probes.Env{Kernel: k}}, &diags)
		if err != nil || obj == nil {
			t.Errorf("%s: %v %v", script, err, diags.All())
			continue
		}
		f, err := elfobj.FromObject(obj)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range f.Progs {
			got = append(got, p.Section)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: sections %q, want %q", script, s, want)
		}
		data, err := elfobj.Write(f)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(data))
		if err != nil {
			t.Errorf("%s: %v", script, err)
			continue
		}
		for _, p := range obj.Programs {
			s := spec.Programs[p.Name]
			if s == nil || s.Type != p.Type || s.AttachType != p.AttachType && p.Type != ebpf.Kprobe || s.AttachTo != p.AttachTo && p.AttachTo != "" {
				t.Errorf("%s: read back as %+v", script, s)
			}
		}
	}
}

// TestMaps checks that maps are read back unchanged.
func TestMaps(t *testing.T) {
	k, err := kernel.Frozen("../../../tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	var diags source.Diags
	obj, err := codegen.Compile(source.NewFile("x", script), codegen.Request{Env: &probes.Env{Kernel: k}, ForeignReaders: true}, &diags)
	if err != nil || obj == nil {
		t.Fatal(err, diags.All())
	}
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(write(t, obj)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range obj.Kernel {
		want := &obj.Kernel[i]
		var got *ebpf.MapSpec
		for _, prefix := range []string{"", ".data.", ".rodata."} {
			if m := spec.Maps[prefix+want.Name]; m != nil {
				got = m
			}
		}
		if got == nil || got.Type != want.Type || got.KeySize != uint32(want.KeySize) || got.ValueSize != uint32(want.ValueSize) {
			t.Errorf("map %s reads back as %v", want.Name, got)
		}
	}
	if ring := spec.Maps["events"]; ring.MaxEntries == 0 || ring.MaxEntries&(ring.MaxEntries-1) != 0 {
		t.Errorf("the ring buffer has %d bytes", ring.MaxEntries)
	}
	var v *btf.Datasec
	if err := spec.Types.TypeByName(".maps", &v); err != nil {
		t.Error(err)
	}
}
