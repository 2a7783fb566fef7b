package probes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/runtime/object"
)

func TestLayersOf(t *testing.T) {
	at := func(side string, numbers ...uint64) Attachment {
		a := Attachment{}
		for _, n := range numbers {
			a.Points = append(a.Points, &object.Point{Mode: side, Event: n})
		}
		return a
	}
	show := func(layers [][]Attachment) string {
		var b strings.Builder
		for _, l := range layers {
			for _, a := range l {
				fmt.Fprint(&b, a.Points[0].Mode)
				for _, p := range a.Points {
					fmt.Fprint(&b, " ", p.Event)
				}
				fmt.Fprint(&b, "; ")
			}
			b.WriteString("| ")
		}
		return b.String()
	}
	for _, c := range []struct {
		all  []Attachment
		want string
	}{
		{[]Attachment{at("in", 1, 2), at("in", 3)}, "in 1 2; in 3; | "},
		{[]Attachment{at("in", 1, 2), at("in", 2, 3), at("in", 3)}, "in 1 2; | in 2 3; | in 3; | "},
		{[]Attachment{at("in", 1, 2), at("in", 2, 3), at("in", 1)}, "in 1 2; | in 2 3; in 1; | "},
		{[]Attachment{at("in", 1), at("out", 1), at("in", 2), at("out", 1)}, "in 1; in 2; | out 1; | out 1; | "},
		{[]Attachment{at("in", 1, 2, 1, 1)}, "in 1 2; | in 1; | in 1; | "},
	} {
		if got := show(layersOf(c.all)); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
