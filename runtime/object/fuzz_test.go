package object_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime/object"
)

// scripts together use everything that an object can contain.
var scripts = []string{
	`begin { printf("%s %d\n", "a", 5); }`,
	`tracepoint:syscalls:sys_enter_openat { @[comm, str(args.filename)] = count(); @h = hist(args.flags); }`,
	`kprobe:vfs_read { @start[tid] = nsecs; } kretprobe:vfs_read /@start[tid]/ { @us = lhist((nsecs - @start[tid]) / 1000, 0, 100, 5); delete(@start, tid); }`,
	`begin { for ($i : 0..100) { @a[$i] = $i; } for ($kv : @a) { print($kv); } print(*curtask); print(@a, 3); }`,
	`rawtracepoint:sched_switch { print((kstack(3), buf("abc", 3))); errorf("%r", buf("abc", 3)); }`,
	`interval:s:1 { time("%H\n"); clear(@x); exit(3); } profile:hz:99 { @x[cpu] = stats(1 / pid); }`,
}

func encoded(t testing.TB) [][]byte {
	k, err := kernel.Frozen(filepath.Join("..", "..", "tests", "kernels", "6.12.zip"))
	if err != nil {
		t.Fatal(err)
	}
	var list [][]byte
	for _, s := range scripts {
		var diags source.Diags
		obj, err := codegen.Compile(source.NewFile("stdin", s), codegen.Request{
			Env: &probes.Env{Kernel: k}, Invocation: &builtins.Invocation{},
		}, &diags)
		if err != nil {
			t.Fatal(err)
		}
		if obj == nil {
			t.Fatalf("%s does not compile: %v", s, diags.All())
		}
		list = append(list, object.Encode(obj))
	}
	return list
}

// decodeAny decodes data, which may be anything, and checks the invariants of every
// decoded object. If a session would accept the object, it handles the object's data like
// a session.
func decodeAny(t *testing.T, data []byte) {
	o, err := object.Decode(data)
	if err != nil {
		return
	}
	text, again := o.String(), object.Encode(o)
	o.Spec()
	p, err := object.Decode(again)
	if err != nil {
		t.Fatalf("encoded again, it does not decode: %v", err)
	}
	if p.String() != text || !bytes.Equal(object.Encode(p), again) {
		t.Fatal("decoded again, it is another object")
	}
	if accepted(o) {
		exercise(t, o)
	}
}

// TestDecodeDamaged decodes objects that are truncated or have one byte changed.
func TestDecodeDamaged(t *testing.T) {
	list := encoded(t)
	if len(list) < 4 {
		t.Fatalf("only %d scripts compile", len(list))
	}
	for _, data := range list {
		if _, err := object.Decode(data); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(data); i += 1 + i/64 {
			if _, err := object.Decode(data[:i]); err == nil {
				t.Fatalf("%d of %d bytes are an object", i, len(data))
			}
		}
		for i := 0; i < len(data); i += 1 + i/64 {
			for _, x := range []byte{0x01, 0x80, 0xff} {
				bad := bytes.Clone(data)
				bad[i] ^= x
				decodeAny(t, bad)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, data := range encoded(f) {
		f.Add(data)
	}
	f.Fuzz(decodeAny)
}
