package opt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/codegen/internal/irgen"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/tests/irtest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden runs the passes named in each testdata file (all of them for
// "opt") over its IR and compares the result.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			head, rest, _ := strings.Cut(string(text), "-- ir --\n")
			in, want, _ := strings.Cut(rest, "-- opt --\n")
			m, err := irtest.Parse(in)
			if err != nil {
				t.Fatal(err)
			}
			if err := ir.Verify(m); err != nil {
				t.Fatal(err)
			}
			names := strings.Fields(head)
			if len(names) == 1 && names[0] == "opt" {
				Run(m)
			} else {
				for _, name := range names {
					found := false
					for _, p := range Passes(m) {
						if p.Name == name {
							found = true
							for _, f := range m.Progs[0].Funcs() {
								p.Run(f)
							}
						}
					}
					if !found {
						t.Fatalf("no pass %q", name)
					}
				}
			}
			if err := ir.Verify(m); err != nil {
				t.Error(err)
			}
			got := m.String()
			if *update {
				if err := os.WriteFile(file, []byte(head+"-- ir --\n"+in+"-- opt --\n"+got), 0o666); err != nil {
					t.Fatal(err)
				}
			} else if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

type fixedThread struct{}

func (fixedThread) Call(m *irtest.Machine, h *ir.Helper, args []uint64) (uint64, error) {
	if h == ir.CurrentPidTgid {
		return 1234<<32 | 5678, nil
	}
	return 0, errors.ErrUnsupported
}

// observe runs the program a few times and returns all that it leaves behind.
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

// TestDifferential checks that random programs do the same after every pass.
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
		run(m, func(p *ir.Prog, pass string) {
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
		})
	}
}

// TestDeterminism runs the pipeline twice over the same input.
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
