package runtime

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/store"
	"github.com/gotrace/gotrace/runtime/value"
	"github.com/gotrace/gotrace/tests/testkit"
)

// The tests assemble objects by hand, so that they test the session independently
// of the compiler.

const (
	begin = "begin"
	end   = "end"
	tp    = "tracepoint"
)

// testObject is a script under construction.
type testObject struct {
	*object.Object
	defs *builtins.Registry
	t    *testing.T
}

func newObject(t *testing.T, defs ...*builtins.Def) testObject {
	t.Helper()
	testkit.NeedRoot(t)
	return testObject{&object.Object{
		Settings: object.Settings{PrintMapsOnExit: true, PerfRBPages: 16, StrTruncTrailer: ".."},
	}, builtins.NewRegistry(append(defs, exitDef, sayDef, sumDef)), t}
}

// load loads the object with the test's own builtins.
func (o testObject) load(opt Setup) (*Instance, error) {
	opt.Defs = o.defs
	return Load(o.Object, opt)
}

func (o testObject) prog(kind, target, fn string, insns ...asm.Instruction) {
	typ := ebpf.RawTracepoint
	full := kind
	if target != "" {
		typ = ebpf.TracePoint
		full += ":" + target + ":" + fn
	}
	name := kind + "_" + fn
	insns = append(insns, asm.Mov.Imm(asm.R0, 0).WithSymbol("out"), asm.Return())
	o.Programs = append(o.Programs, &object.Program{
		Name: name, Type: typ, License: "GPL", Insns: insns,
		Points: []object.Point{{Kind: kind, Name: full, Target: target, Func: fn}},
	})
}

// keep adds a kernel map.
func (o testObject) keep(name string, typ ebpf.MapType, key, value, entries int) {
	m := object.KernelMap{Name: name, Type: typ, KeySize: key, ValueSize: value, MaxEntries: entries}
	if name == object.SlotMap {
		m.Flags = mmapable
	}
	o.Kernel = append(o.Kernel, m)
}

func (o testObject) ring() {
	if len(o.Events) == 0 {
		o.keep(object.RingMap, ebpf.RingBuf, 0, 0, 0)
	}
}

// event adds an event with one u32 argument and returns its number.
func (o testObject) event(def string) int32 {
	o.ring()
	o.Events = append(o.Events, object.Event{Def: def, Size: 16, Args: []object.Arg{{Type: types.TUint32, Off: 8}}})
	return int32(len(o.Events) - 1)
}

// send returns code that sends a record of an event.
func send(event, arg int32) []asm.Instruction {
	return []asm.Instruction{
		asm.StoreImm(asm.RFP, -16, int64(event), asm.Word),
		asm.StoreImm(asm.RFP, -12, 0, asm.Word),
		asm.StoreImm(asm.RFP, -8, int64(arg), asm.Word),
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, 0).WithReference(object.RingMap),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -16),
		asm.Mov.Imm(asm.R3, 16),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnRingbufOutput.Call(),
	}
}

// addTo returns code that adds n to the u64 at off in a map with one element.
func addTo(m string, off, n int32) []asm.Instruction {
	return []asm.Instruction{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, 0).WithReference(m),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.Mov.Imm(asm.R1, n),
		asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, int16(off)),
	}
}

// resetSlot returns a reset program for a per-CPU slot. It zeroes the word at off
// and, if the program's first argument is not 0, the byte at set.
func resetSlot(off, set int16) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R6, asm.R1, 0, asm.DWord),
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, 0).WithReference(object.CPUSlotMap),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.Mov.Imm(asm.R1, 0),
		asm.StoreMem(asm.R0, off, asm.R1, asm.DWord),
		asm.JEq.Imm(asm.R6, 0, "out"),
		asm.StoreImm(asm.R0, set, 0, asm.Byte),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("out"),
		asm.Return(),
	}
}

// onlyFor returns code that ends the program unless it runs in process pid.
func onlyFor(pid int) []asm.Instruction {
	return []asm.Instruction{
		asm.FnGetCurrentPidTgid.Call(),
		asm.RSh.Imm(asm.R0, 32),
		asm.JNE.Imm(asm.R0, int32(pid), "out"),
	}
}

func code(parts ...[]asm.Instruction) []asm.Instruction { return slices.Concat(parts...) }

var (
	exitDef = &builtins.Def{Name: "exit",
		Records: builtins.Records{Handle: func(env builtins.Env, rec *object.Record) error {
			env.Exit(int(binary.NativeEndian.Uint32(rec.Arg(0))))
			return nil
		},
		}}
	sayDef = &builtins.Def{Name: "say",
		Records: builtins.Records{Handle: func(env builtins.Env, rec *object.Record) error {
			env.Out().Printf("printf", value.Text(env.Decoder().Value(rec.Args[0].Type, rec.Arg(0)), "")+"\n")
			return nil
		},
		}}
	sumDef = &builtins.Def{
		Name: "sum", Kind: builtins.Aggregation,
		TypeDef: builtins.TypeDef{TypeName: "sum_t",
			Merge: func(_ *types.Type, dst, src []byte) {
				binary.NativeEndian.PutUint64(dst, binary.NativeEndian.Uint64(dst)+binary.NativeEndian.Uint64(src))
			},
			Format: func(_ builtins.Env, _ *types.Type, data []byte) value.Value {
				return value.Uint(binary.NativeEndian.Uint64(data))
			},
		},
	}
	sumT = &types.Type{Kind: types.Agg, Name: "sum_t", Size: 8}
)

// run runs the object until the session ends and returns what it printed.
func (o testObject) run(ctx context.Context, opt Setup) (stdout, stderr string, status int) {
	o.t.Helper()
	var out, errs bytes.Buffer
	opt.Sink = output.NewText(output.NewWriter(&out, output.Line), &errs, output.Style{})
	opt.Stderr = &errs
	s, err := o.load(opt)
	if err != nil {
		o.t.Fatalf("Load: %v", err)
	}
	status, err = s.Run(ctx)
	if err != nil {
		o.t.Fatalf("Run: %v", err)
	}
	return out.String(), errs.String(), status
}

func timeout(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // in case the session hangs
	t.Cleanup(cancel)
	return ctx
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}

func TestOnlyBeginAndEnd(t *testing.T) {
	o := newObject(t)
	say := o.event("say")
	o.prog(end, "", "", send(say, 2)...)
	o.prog(begin, "", "", send(say, 1)...)
	out, errs, status := o.run(timeout(t), Setup{})
	expect(t, "stdout", out, "1\n2\n\n\n")
	expect(t, "stderr", errs, "Attached 2 probes\n")
	if status != 0 {
		t.Errorf("status %d", status)
	}
}

// TestExit checks that records after exit() are dropped, but not those of end
// probes.
func TestExit(t *testing.T) {
	o := newObject(t)
	say, exit := o.event("say"), o.event("exit")
	o.prog(begin, "", "", code(send(say, 1), send(exit, 7), send(say, 2))...)
	o.prog(end, "", "", send(say, 3)...)
	out, _, status := o.run(timeout(t), Setup{})
	expect(t, "stdout", out, "1\n3\n\n\n")
	if status != 7 {
		t.Errorf("status %d, want 7", status)
	}
}

// counters returns a script that counts this process's getpriority calls in every
// kind of map.
func counters(t *testing.T) testObject {
	o := newObject(t)
	o.keep(object.SlotMap, ebpf.Array, 4, 32, 1)
	o.keep(object.CPUSlotMap, ebpf.PerCPUArray, 4, 16, 1)
	o.Maps = []object.Map{
		{Name: "@slot", Value: types.TInt64, Store: "slot", Kernel: object.SlotMap, Off: 0, Set: 8},
		{Name: "@cpu", Value: sumT, Store: "per-CPU slot", PerCPU: true, Kernel: object.CPUSlotMap, Off: 0, Set: 8,
			Programs: []*object.Program{{Name: "reset_cpu", Type: ebpf.RawTracepoint, License: "GPL", Insns: resetSlot(0, 8)}}},
		{Name: "@never", Value: types.TInt64, Store: "slot", Kernel: object.SlotMap, Off: 16, Set: 24},
	}
	o.prog(tp, "syscalls", "sys_enter_getpriority", code(onlyFor(os.Getpid()),
		addTo(object.SlotMap, 0, 1), addTo(object.SlotMap, 8, 1),
		addTo(object.CPUSlotMap, 0, 2), addTo(object.CPUSlotMap, 8, 1))...)
	return o
}

func getpriority(n int) {
	for range n {
		syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	}
}

func TestCountsAreExact(t *testing.T) {
	var out, errs string
	for range 5 { // until the kernel has missed none
		o := counters(t)
		ctx, cancel := context.WithCancel(timeout(t))
		out, errs, _ = o.run(ctx, Setup{Attached: func() {
			done := make(chan bool)
			for range 2 { // on two CPUs
				go func() { getpriority(100); done <- true }()
			}
			<-done
			<-done
			cancel()
		}})
		if !strings.Contains(errs, "Missed ") {
			break
		}
	}
	expect(t, "stdout", out, "\n\n@cpu: 400\n@slot: 200\n")
}

func TestClearAndZero(t *testing.T) {
	o := counters(t)
	var out bytes.Buffer
	sink := output.NewText(output.NewWriter(&out, output.Line), io.Discard, output.Style{})
	s, err := o.load(Setup{Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.attachAll(); err != nil {
		t.Fatal(err)
	}
	getpriority(3)
	print := func() {
		for _, m := range []string{"@slot", "@cpu", "@never"} {
			if err := s.env.Maps().Print(m, 0, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	print()
	for _, m := range []string{"@slot", "@cpu"} {
		if err := s.env.Maps().Zero(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.printAll(); err != nil {
		t.Fatal(err)
	}
	getpriority(1)
	if err := s.printAll(); err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{"@slot", "@cpu"} {
		if err := s.env.Maps().Clear(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.printAll(); err != nil {
		t.Fatal(err)
	}
	print()
	sink.Flush()
	expect(t, "stdout", out.String(), "@slot: 3\n@cpu: 6\n@never: 0\n"+
		"@cpu: 0\n@slot: 0\n"+
		"@cpu: 2\n@slot: 1\n"+
		"@slot: 0\n@cpu: 0\n@never: 0\n")
}

func TestKeyedMaps(t *testing.T) {
	o := newObject(t)
	key := types.NewTuple(types.TInt32, types.NewString(4))
	hash := func(name string, typ ebpf.MapType, perCPU bool, val *types.Type) {
		o.keep(name, typ, key.Size, val.Size, 10000)
		o.Maps = append(o.Maps, object.Map{Name: "@" + name, Key: key, Value: val, Store: "hash", PerCPU: perCPU, Kernel: name, Max: 10000})
	}
	hash("ints", ebpf.Hash, false, types.TInt64)
	hash("sums", ebpf.PerCPUHash, true, sumT)
	hash("strs", ebpf.Hash, false, types.NewString(8))
	hash("many", ebpf.PerCPUHash, true, sumT)
	o.prog(begin, "", "")
	var out bytes.Buffer
	sink := output.NewText(output.NewWriter(&out, output.Line), io.Discard, output.Style{})
	s, err := o.load(Setup{Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	k := func(n int32, str string) []byte {
		b := make([]byte, 8)
		binary.NativeEndian.PutUint32(b, uint32(n))
		copy(b[4:], str)
		return b
	}
	put := func(m string, key, val []byte) {
		if err := store.UpdateElem(s.maps[m], key, val, 0); err != nil {
			t.Fatal(err)
		}
	}
	u64 := func(vs ...int64) (b []byte) {
		for _, v := range vs {
			b = binary.NativeEndian.AppendUint64(b, uint64(v))
		}
		return b
	}
	perCPU := func(first, second int64) []byte {
		b := make([]byte, 8*s.ncpu)
		copy(b, u64(first))
		if s.ncpu > 1 {
			copy(b[8:], u64(second))
		} else {
			copy(b, u64(first+second))
		}
		return b
	}
	put("ints", k(1, "b"), u64(-5))
	put("ints", k(-1, "c"), u64(7))
	put("ints", k(1, "a"), u64(7))
	put("sums", k(3, "x"), perCPU(10, 5))
	put("sums", k(2, "y"), perCPU(1, 1))
	put("strs", k(2, "b"), []byte("two\x00\x00\x00\x00\x00"))
	put("strs", k(2, "a"), []byte("eightlng"))
	put("strs", k(-9, ""), make([]byte, 8))
	for i := range int32(9000) {
		put("many", k(i, ""), perCPU(int64(i), 1))
	}
	for _, m := range []string{"@ints", "@sums", "@strs"} {
		s.env.Maps().Print(m, 0, 0)
	}
	s.env.Maps().Print("@ints", 2, 0)
	s.env.Maps().Print("@many", 2, 10)
	many, err := s.readers[s.byName["@many"]].Read(nil)
	if err != nil || len(many) != 9000 {
		t.Errorf("read %d entries of 9000, error %v", len(many), err)
	}
	s.env.Maps().Zero("@ints")
	s.env.Maps().Print("@ints", 0, 0)
	s.env.Maps().Clear("@many")
	s.env.Maps().Print("@many", 0, 0)
	sink.Flush()
	expect(t, "stdout", out.String(), `@ints[1, b]: -5
@ints[-1, c]: 7
@ints[1, a]: 7
@sums[2, y]: 2
@sums[3, x]: 15
@strs[-9, ]: 
@strs[2, a]: eightlng
@strs[2, b]: two
@ints[-1, c]: 7
@ints[1, a]: 7
@many[8998, ]: 899
@many[8999, ]: 900
@ints[-1, c]: 0
@ints[1, a]: 0
@ints[1, b]: 0
`)
}

func TestSites(t *testing.T) {
	o := newObject(t)
	f := source.NewFile("stdin", "begin { @a = 1 / 0 }")
	o.keep(object.SiteMap, ebpf.Array, 4, 24, 1)
	o.Sites = []object.Site{
		{Kind: object.DivZero, Span: source.Span{File: f, Start: 13, End: 18}},
		{Kind: object.LostEvent, Span: source.Span{File: f, Start: 0, End: 5}},
		{Kind: object.ReadFault, Span: source.Span{File: f, Start: 0, End: 5}},
	}
	o.prog(begin, "", "", code(addTo(object.SiteMap, 0, 3), addTo(object.SiteMap, 8, 9), addTo(object.SiteMap, 16, 1))...)
	_, errs, _ := o.run(timeout(t), Setup{})
	expect(t, "stderr", errs, "Attached 1 probe\n"+
		"stdin:1:14-19: WARNING: Divide or modulo by 0 detected. This can lead to unexpected results. 1 is being used as the result. (3 times so far)\n"+
		"begin { @a = 1 / 0 }\n             ~~~~~\n"+
		"Lost 9 events\n")
}

// TestVerifierError checks that an error of the verifier is shown at the line of
// the script.
func TestVerifierError(t *testing.T) {
	o := newObject(t)
	f := source.NewFile("stdin", "begin { $x = *p; }")
	o.prog(begin, "", "", asm.Mov.Imm(asm.R1, 5), asm.LoadMem(asm.R0, asm.R1, 0, asm.DWord))
	at := source.Span{File: f, Start: 13, End: 15}
	o.Programs[0].Lines = []source.Span{{}, at, {}, {}}
	_, err := o.load(Setup{Sink: output.NewText(output.NewWriter(io.Discard, 0), io.Discard, output.Style{})})
	var de source.DiagError
	if !errors.As(err, &de) || de[0].Span != at || !strings.Contains(de[0].Msg, "R1 invalid mem access") {
		t.Errorf("error %v", err)
	}
}

// TestAttachAllOrNothing checks that no probe stays attached if one cannot be
// attached.
func TestAttachAllOrNothing(t *testing.T) {
	o := newObject(t)
	o.prog(tp, "syscalls", "sys_enter_getpriority")
	o.prog(tp, "syscalls", "no_such_event")
	s, err := o.load(Setup{Sink: output.NewText(output.NewWriter(io.Discard, 0), io.Discard, output.Style{})})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Run(timeout(t))
	if err == nil || !strings.Contains(err.Error(), "tracepoint:syscalls:no_such_event") {
		t.Errorf("error %v", err)
	}
	if len(s.links) != 0 {
		t.Errorf("%d links are left", len(s.links))
	}
}

func TestChild(t *testing.T) {
	o := newObject(t)
	c, err := StartChild("sleep 0", Streams{})
	if err != nil {
		t.Fatal(err)
	}
	o.keep(object.SlotMap, ebpf.Array, 4, 16, 1)
	o.Maps = []object.Map{{Name: "@", Value: types.TInt64, Store: "slot", Kernel: object.SlotMap, Set: 8}}
	// The execve of the command itself is counted: the probes are attached before
	// it.
	o.prog(tp, "syscalls", "sys_enter_execve", code(onlyFor(c.PID()), addTo(object.SlotMap, 0, 1), addTo(object.SlotMap, 8, 1))...)
	out, _, status := o.run(timeout(t), Setup{Child: c})
	expect(t, "stdout", out, "\n\n@: 1\n")
	if status != 0 || c.Ended() != "exited with code: 0" {
		t.Errorf("status %d, child %s", status, c.Ended())
	}
}

// TestChildIsEnded checks that the session ends the child, even one that ignores
// SIGTERM.
func TestChildIsEnded(t *testing.T) {
	for _, cmd := range []string{"sleep 1000", "env --ignore-signal=TERM sleep 1000"} {
		o := newObject(t)
		c, err := StartChild(cmd, Streams{})
		if err != nil {
			t.Fatal(err)
		}
		o.prog(tp, "syscalls", "sys_enter_getpriority")
		ctx, cancel := context.WithCancel(timeout(t))
		o.run(ctx, Setup{Child: c, Attached: func() {
			// By then the child has most likely executed its program.
			time.AfterFunc(100*time.Millisecond, cancel)
		}})
		if !strings.HasPrefix(c.Ended(), "terminated by signal") {
			t.Errorf("%s: %s", cmd, c.Ended())
		}
	}
}

func TestChildThatNeverRuns(t *testing.T) {
	c, err := StartChild("echo must not be seen", Streams{Out: os.Stdout})
	if err != nil {
		t.Fatal(err)
	}
	c.Release()
	if got := c.Ended(); got != "exited with code: 127" {
		t.Error(got)
	}
	if _, err := StartChild("no-such-command -x", Streams{}); err == nil || !strings.Contains(err.Error(), "no-such-command") {
		t.Errorf("error %v", err)
	}
	if _, err := StartChild("  ", Streams{}); err == nil {
		t.Error("no error for an empty command")
	}
}

func TestPIDEnds(t *testing.T) {
	o := newObject(t)
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	o.prog(tp, "syscalls", "sys_enter_getpriority")
	ctx := timeout(t)
	o.run(ctx, Setup{PID: cmd.Process.Pid, Attached: func() {
		cmd.Process.Kill()
		cmd.Wait()
	}})
	if ctx.Err() != nil {
		t.Error("it did not end with the process")
	}
}

func TestDryRun(t *testing.T) {
	o := counters(t)
	out, errs, _ := o.run(timeout(t), Setup{DryRun: true})
	expect(t, "stdout", out, "")
	expect(t, "stderr", errs, "")
}

func TestRejection(t *testing.T) {
	for _, c := range []struct {
		log  string
		insn int
		why  string
	}{
		{"0: R1=ctx() R10=fp0\n0: (b7) r1 = 5\n1: (79) r0 = *(u64 *)(r1 +0)\nR1 invalid mem access 'scalar'\nprocessed 2 insns (limit 1000000)", 1, "R1 invalid mem access 'scalar'"},
		{"6: (85) call x#1  ; R0=0\n7: (15) if r0 == 0x0 goto pc+3 infinite loop detected at insn 11\ncur state: R0=0\nprocessed 1970 insns", 7, "infinite loop detected"},
		{"unreachable insn 5", -1, "unreachable insn 5"},
		{"", -1, "no reason given"},
	} {
		insn, why := rejection(strings.Split(c.log, "\n"))
		if insn != c.insn || why != c.why {
			t.Errorf("rejection(%q) = %d, %q", c.log, insn, why)
		}
	}
}

// TestExplained matches every explanation of every builtin against a log with its
// reason, and against a log that names another helper.
func TestExplained(t *testing.T) {
	found := 0
	for _, d := range builtins.All() {
		for i := range d.Refusals {
			r := &d.Refusals[i]
			for _, why := range r.Why {
				found++
				log := func(helper string) []string {
					return []string{"7: (85) call " + helper + "#1", why + helper + "#1", "processed 8 insns"}
				}
				if got := explained(builtins.All(), log(r.Helper), 7, why+r.Helper+"#1"); got == nil || got.Msg != r.Msg {
					t.Errorf("%s: %q of %s is explained by %v", d.Name, why, r.Helper, got)
				}
				if got := explained(builtins.All(), log("bpf_none"), 7, why+"bpf_none#1"); got != nil {
					t.Errorf("%s: %q of another helper is explained by %q", d.Name, why, got.Msg)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no builtin explains a refusal")
	}
}
