package binary

import (
	"debug/elf"
	"os"
	"testing"

	"github.com/gotrace/gotrace/runtime/unwind/cfi"
)

// TestGoFunctions compares the frames in the table of Go's runtime with those that Go's
// linker describes. It also reads them from stripped programs.
func TestGoFunctions(t *testing.T) {
	for _, flags := range goFixtures {
		t.Run(flags, func(t *testing.T) {
			r, err := os.Open(buildGo(t, flags))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			e, err := elf.NewFile(r)
			if err != nil {
				t.Fatal(err)
			}
			described, err := cfi.ReadFile(r, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			stripped := e.Section(".debug_frame") == nil && e.Section(".zdebug_frame") == nil
			functions, outermost, compared, work := 0, 0, 0, false
			GoFunctions(r, e, func(f cfi.GoFunction) {
				functions++
				work = work || f.Name == "main.work"
				if f.Outermost {
					outermost++
					return
				}
				pc := f.Start
				f.Depths(func(end uint64, depth int32) bool {
					if rule := described.At(pc); !stripped && rule.Kind == cfi.Register {
						if compared++; rule.Reg != 7 || rule.CFA != depth+8 || rule.RA != -8 {
							t.Errorf("%s at %#x has the depth %d and the rule %+v", f.Name, pc, depth, rule)
						}
					}
					pc = end
					return end < f.End && !t.Failed()
				})
			})
			if functions < 1000 || outermost == 0 || !work || !stripped && compared < 3000 {
				t.Errorf("%d functions, %d without callers, main.work %v; %d ranges compared", functions, outermost, work, compared)
			}
		})
	}
}
