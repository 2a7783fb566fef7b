package builtins

import "testing"

// TestFreeWalk checks that the walks of a program are few enough for the verifier, which
// processes at most a million instructions, and as long as that allows.
func TestFreeWalk(t *testing.T) {
	for n := 1; n <= 100; n++ {
		turns := freeWalk(n)
		cost := n * (startCost + turnCost*int(turns))
		if cost > 1_000_000 || turns < freeTurns && cost < verifierRoom*9/10 || turns < leastFree {
			t.Errorf("%d walks of %d iterations: %d instructions", n, turns, cost)
		}
	}
}
