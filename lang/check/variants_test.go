package check

import (
	"testing"

	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/attach"
	"github.com/gotrace/gotrace/probes"
)

// TestGroup checks that points share a program unless they are the same one. Several places
// may have one name.
func TestGroup(t *testing.T) {
	kind := &probes.Kind{Name: "usdt"}
	at := func(name, file string, fileOff, offset uint64) attach.Point {
		ctx := &probes.Context{}
		ctx.Load.Shape = "same"
		return attach.Point{Point: &probes.Point{Kind: kind, Name: name, File: file, FileOffset: fileOff, Offset: offset}, Ctx: ctx}
	}
	for name, c := range map[string]struct {
		points []attach.Point
		want   int
	}{
		"two names":            {[]attach.Point{at("a", "f", 1, 0), at("b", "f", 2, 0)}, 1},
		"places of a name":     {[]attach.Point{at("a", "f", 1, 0), at("a", "f", 2, 0), at("a", "f", 3, 0)}, 1},
		"files of a name":      {[]attach.Point{at("a", "f", 1, 0), at("a", "g", 1, 0)}, 1},
		"returns":              {[]attach.Point{at("a", "f", 0, 8), at("a", "f", 0, 16)}, 1},
		"twice":                {[]attach.Point{at("a", "f", 1, 0), at("a", "f", 1, 0)}, 2},
		"twice, and another":   {[]attach.Point{at("a", "f", 1, 0), at("b", "f", 2, 0), at("a", "f", 1, 0)}, 2},
		"three times, and two": {[]attach.Point{at("a", "f", 1, 0), at("a", "f", 1, 0), at("b", "f", 2, 0), at("a", "f", 1, 0), at("b", "f", 2, 0)}, 3},
	} {
		got := (&checker{}).group([]attach.Block{{Decl: &ast.Probe{Body: &ast.Block{}}, Points: c.points}})
		if len(got) != c.want {
			t.Errorf("%s: %d programs, want %d", name, len(got), c.want)
		}
	}
}
