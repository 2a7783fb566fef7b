package builtins

import (
	"errors"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// TestAccept checks which events and types of an object from a file are refused.
func TestAccept(t *testing.T) {
	r := NewRegistry(All())
	arg := func(size int) object.Arg { return object.Arg{Type: types.NewInt(size, false)} }
	for _, c := range []struct {
		event object.Event
		want  string
	}{
		{object.Event{Def: "pid"}, "event 0, pid: no builtin of that name handles events"},
		{object.Event{Def: "nothing"}, "no builtin of that name handles events"},
		{object.Event{Def: "time"}, "it has 0 literals instead of 1"},
		{object.Event{Def: "time", Lits: []any{int64(5)}}, "literal 0 is a int64 instead of a string"},
		{object.Event{Def: "exit"}, "it has 0 arguments instead of 1"},
		{object.Event{Def: "exit", Args: []object.Arg{arg(1)}}, "argument 0 has fewer than"},
		{object.Event{Def: "printf", Lits: []any{&object.Message{Format: "%d %d"}}}, "its format has 2 conversions for 0 values"},
		{object.Event{Def: "print", Args: []object.Arg{{Type: &types.Type{Kind: types.Opaque, Name: "nothing", Size: 8}}}}, "there is no type nothing"},
		{object.Event{Def: "print", Args: []object.Arg{{Type: &types.Type{Kind: types.Opaque, Name: "usym_t", Size: 1}}}}, "there is no type usym_t of 1 bytes with the parameters"},
	} {
		err := r.Accept(&object.Object{Events: []object.Event{c.event}})
		if !errors.Is(err, object.ErrFormat) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.event.Def, err, c.want)
		}
	}
}
