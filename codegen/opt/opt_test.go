package opt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/codegen/internal/irgen"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/tests/cases"
	"github.com/gotrace/gotrace/tests/irtest"
)

// TestGolden runs the passes that the header of each testdata file lists on its IR.
func TestGolden(t *testing.T) {
	cases.Each(t, "testdata/*.txtar", []string{"passes"}, func(t *testing.T, c *cases.Case) {
		m, err := irtest.Parse(c.Input(t, "ir"))
		if err != nil {
			t.Fatal(err)
		}
		if err := ir.Verify(m); err != nil {
			t.Fatal(err)
		}
		before := m.String()
		runPasses(t, m, c.Header("passes"))
		if err := ir.Verify(m); err != nil {
			t.Error(err)
		}
		text := m.String()
		if text == before {
			text = "unchanged\n"
		}
		c.Check(t, cases.Section{Name: "opt", Text: text})
	})
}

// TestEveryPass checks that TestGolden has, for each pass of the pipeline alone, a
// function that the pass changes and one that it does not change.
func TestEveryPass(t *testing.T) {
	changes, leaves := map[string]bool{}, map[string]bool{}
	for _, file := range cases.Glob(t, "testdata/*.txtar", "passes") {
		for _, c := range file.Cases {
			if c.Section("opt") == "unchanged\n" {
				leaves[c.Header("passes")] = true
			} else {
				changes[c.Header("passes")] = true
			}
		}
	}
	for _, p := range Passes(&ir.Module{}) {
		if !changes[p.Name] {
			t.Errorf("testdata has no function that the pass %s alone changes", p.Name)
		}
		if !leaves[p.Name] {
			t.Errorf("testdata has no function that the pass %s leaves as it is", p.Name)
		}
	}
}

// runPasses runs the passes in a list, or all passes if the list is "all".
func runPasses(t *testing.T, m *ir.Module, list string) {
	t.Helper()
	if list == "all" {
		Run(m)
		return
	}
	for name := range strings.FieldsSeq(list) {
		passes := Passes(m)
		i := slices.IndexFunc(passes, func(p Pass) bool { return p.Name == name })
		if i < 0 {
			t.Fatalf("no pass %q", name)
		}
		before := m.String()
		changed := false
		for _, f := range m.Progs[0].Funcs() {
			changed = passes[i].Run(f) || changed
		}
		if !changed && m.String() != before {
			t.Errorf("%s changed something and reports that it did not", name)
		}
	}
}

type fixedThread struct{}

func (fixedThread) Call(m *irtest.Machine, h *ir.Helper, args []uint64) (uint64, error) {
	if h == ir.CurrentPidTgid {
		return 1234<<32 | 5678, nil
	}
	return 0, errors.ErrUnsupported
}

// observe runs the program a few times and returns everything that it has written.
func observe(m *ir.Module, ctxs [][]byte) (string, error) {
	mc := irtest.NewMachine(m, nil)
	mc.Helpers = fixedThread{}
	var b strings.Builder
	for _, ctx := range ctxs {
		mc.Ctx, mc.Steps = ctx, 0
		r, err := mc.Run(m.Progs[0])
		if err != nil {
			return "", err
		}
		out, err := mc.Mem(mc.Maps[m.Maps[0]].Values["\x00\x00\x00\x00"], irgen.OutSize)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%#x %x", r, out)
		hash := mc.Maps[m.Maps[1]]
		for k := range 4 {
			key := binary.LittleEndian.AppendUint64(nil, uint64(k))
			if addr, ok := hash.Values[string(key)]; ok {
				val, err := mc.Mem(addr, 16)
				if err != nil {
					return "", err
				}
				fmt.Fprintf(&b, " %d=%x", k, val)
			}
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// TestDifferential checks that random programs behave the same after every pass.
func TestDifferential(t *testing.T) {
	n := int64(1500)
	if testing.Short() {
		n = 200
	}
	from := int64(0)
	if s := os.Getenv("GOTRACE_SEEDS"); s != "" {
		if _, err := fmt.Sscanf(s, "%d-%d", &from, &n); err != nil {
			t.Fatal(err)
		}
	}
	for seed := from; seed < n; seed++ {
		m := irgen.Program(seed, irgen.Config{Size: 10 + int(seed%7)*12, BigSlots: seed%3 == 0, Calls: seed%4 == 0, Loops: seed%2 == 0, Fetch: true})
		if err := ir.Verify(m); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, m)
		}
		ctxs := irgen.Contexts(seed, 3)
		want, err := observe(m, ctxs)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, m)
		}
		before := m.String()
		check := func(pass string) {
			if t.Failed() {
				return
			}
			if err := ir.Verify(m); err != nil {
				t.Fatalf("seed %d: after %s: %v\nbefore:\n%s\nafter:\n%s", seed, pass, err, before, m)
			}
			got, err := observe(m, ctxs)
			if err != nil || got != want {
				t.Fatalf("seed %d: after %s: %v\n%s\nwant\n%s\nbefore:\n%s\nafter:\n%s", seed, pass, err, got, want, before, m)
			}
			before = m.String()
		}
		pipeline := pipelineOf(m)
		for _, p := range m.Progs {
			for _, f := range p.Funcs() {
				pipeline.run(f, check)
			}
			dropFuncs(p)
		}
	}
}

// large returns a module that is optimised on all CPUs.
func large() *ir.Module {
	m := &ir.Module{}
	for seed, size := int64(0), 0; size <= fewValues; seed++ {
		more := irgen.Program(seed, irgen.Config{Size: 80, Calls: true, Loops: true, Fetch: true})
		m.Maps = append(m.Maps, more.Maps...)
		for _, p := range more.Progs {
			m.Progs = append(m.Progs, p)
			for _, f := range p.Funcs() {
				size += f.NumValues()
			}
		}
	}
	return m
}

// TestParallel checks that the result is the same on one CPU and on several.
func TestParallel(t *testing.T) {
	one, several := large(), large()
	pipeline := pipelineOf(one)
	for _, p := range one.Progs {
		for _, f := range p.Funcs() {
			pipeline.run(f, nil)
		}
		dropFuncs(p)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	Run(several)
	if one.String() != several.String() {
		t.Error("the results differ")
	}
	var seen [100]bool
	parallel(len(seen), fewValues, func(i int) { seen[i] = true })
	if slices.Contains(seen[:], false) {
		t.Error("not all are done")
	}
	defer func() {
		if r := recover(); r != "a failure" {
			t.Errorf("the panic is %v", r)
		}
	}()
	parallel(2, fewValues, func(i int) { panic("a failure") })
}

// TestDeterminism checks that two runs of the pipeline over the same input have the
// same result.
func TestDeterminism(t *testing.T) {
	for seed := range int64(50) {
		var texts [2]bytes.Buffer
		for i := range texts {
			m := irgen.Program(seed, irgen.Config{Size: 60, Calls: true, Fetch: true})
			Run(m)
			texts[i].WriteString(m.String())
		}
		if texts[0].String() != texts[1].String() {
			t.Fatalf("seed %d: two runs differ", seed)
		}
	}
}
