package codegen_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/codegen/internal/scriptgen"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/tests/irtest"
)

// TestScripts compares the results of random scripts with the expected ones: it
// interprets their IR before and after optimisation, and runs some of them in this
// kernel. GOTRACE_SEEDS=from-to selects other scripts.
func TestScripts(t *testing.T) {
	from, to := int64(0), int64(120)
	if s := os.Getenv("GOTRACE_SEEDS"); s != "" {
		if _, err := fmt.Sscanf(s, "%d-%d", &from, &to); err != nil {
			t.Fatal(err)
		}
	}
	k, err := kernel.Frozen("../tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	live := kernel.Live()
	for seed := from; seed < to && !t.Failed(); seed++ {
		s := scriptgen.Program(seed, 4+int(seed%8)*4)
		text := map[string]string{}
		obj, diags := compile(t, k, s.Text, func(stage, ir string) { text[stage] = ir })
		if obj == nil && strings.Contains(diags.Err().Error(), "too large for the kernel") {
			continue
		}
		if obj == nil {
			t.Fatalf("seed %d: %v\n%s", seed, diags.Err(), s.Text)
		}
		for _, stage := range []string{"ir", "opt"} {
			got, err := interpret(text[stage], obj)
			check(t, fmt.Sprintf("seed %d, %s", seed, stage), s, got, err)
		}
		if seed%8 == 0 && os.Getuid() == 0 {
			got, err := inKernel(t, live, s)
			if !errors.Is(err, unix.EPERM) {
				check(t, fmt.Sprintf("seed %d, kernel", seed), s, got, err)
			}
		}
	}
}

// interpret runs the program of a module, whose maps obj describes, and returns the
// values of maps without keys.
func interpret(text string, obj *object.Object) (map[string]int64, error) {
	m, err := irtest.Parse(text)
	if err != nil {
		return nil, err
	}
	if err := ir.Verify(m); err != nil {
		return nil, err
	}
	mc := irtest.NewMachine(m, make([]byte, 64))
	if _, err := mc.Run(m.Progs[0]); err != nil {
		return nil, err
	}
	for _, mp := range m.Maps {
		if mp.Name == object.SlotMap {
			data, err := mc.Mem(mc.Maps[mp].Values["\x00\x00\x00\x00"], mp.ValueSize)
			return slots(data, obj), err
		}
	}
	return nil, fmt.Errorf("no map %s", object.SlotMap)
}

func slots(data []byte, obj *object.Object) map[string]int64 {
	vals := map[string]int64{}
	for _, m := range obj.Maps {
		if m.Key == nil && !m.PerCPU && m.Value.Size == 8 {
			vals[m.Name] = int64(binary.NativeEndian.Uint64(data[m.Off:]))
		}
	}
	return vals
}

// inKernel runs the program of s in this kernel and returns the values of maps without
// keys.
func inKernel(t *testing.T, k probes.Kernel, s *scriptgen.Script) (map[string]int64, error) {
	obj, diags := compile(t, k, s.Text, nil)
	if obj == nil {
		return nil, diags.Err()
	}
	coll, err := collection(obj)
	if err != nil {
		return nil, err
	}
	defer coll.Close()
	for _, p := range coll.Programs {
		if _, err := p.Run(&ebpf.RunOptions{}); err != nil {
			return nil, err
		}
	}
	var data []byte
	err = coll.Maps[object.SlotMap].Lookup(uint32(0), &data)
	return slots(data, obj), err
}

func check(t *testing.T, where string, s *scriptgen.Script, slots map[string]int64, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v\n%s", where, err, s.Text)
		return
	}
	for i, want := range s.Results {
		if got, ok := slots[fmt.Sprintf("@r%d", i)]; !ok || got != want {
			t.Errorf("%s: @r%d is %d, want %d", where, i, got, want)
		}
	}
	if t.Failed() {
		t.Log(s.Text)
	}
}
