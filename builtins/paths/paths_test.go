package paths

import "testing"

// TestFreeWalk checks that the walks of a program stay within the verifier's limit of a
// million instructions, and are as long as it allows.
func TestFreeWalk(t *testing.T) {
	for n := 1; n <= 100; n++ {
		turns := freeWalk(n)
		cost := n * (startCost + turnCost*int(turns))
		if cost > 1_000_000 || turns < freeTurns && cost < verifierRoom*9/10 || turns < leastFree {
			t.Errorf("%d walks of %d iterations: %d instructions", n, turns, cost)
		}
	}
}
