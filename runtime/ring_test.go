package runtime

import (
	"testing"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/runtime/object"
)

// TestRingSize checks that the ring buffer is small only if all events end the session.
func TestRingSize(t *testing.T) {
	exit, print := object.Event{Def: "exit"}, object.Event{Def: "printf"}
	undecided := exit
	undecided.Later.Steps = []object.Step{{Op: object.StepText}}
	for _, c := range []struct {
		name   string
		events []object.Event
		small  bool
	}{
		{"exit", []object.Event{exit, exit}, true},
		{"printf", []object.Event{exit, print}, false},
		{"user space decides", []object.Event{undecided}, false},
		{"calls", []object.Event{{Call: &object.Call{}}, exit}, false},
	} {
		s := &Instance{defs: builtins.NewRegistry(builtins.All()), obj: &object.Object{Events: c.events}}
		if small := s.ringSize() == minRing; small != c.small {
			t.Errorf("%s: %d bytes", c.name, s.ringSize())
		}
	}
}
