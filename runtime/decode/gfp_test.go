package decode

import "testing"

func TestGFPHasNoOverlap(t *testing.T) {
	seen := uint64(0)
	for _, f := range gfpNames {
		if f.bits&(f.bits-1) != 0 {
			if seen != 0 {
				t.Errorf("%s comes after its parts", f.name)
			}
			continue
		}
		if seen&f.bits != 0 {
			t.Errorf("%s: bit twice", f.name)
		}
		seen |= f.bits
	}
}
