package profile

import (
	"cmp"
	"math"
	"slices"

	"github.com/gotrace/gotrace/runtime/output"
)

// Box is a box of a flame graph. It stands for all samples that start with the same
// steps.
type Box struct {
	Name     string
	Kind     Kind
	Weight   int64
	Children []*Box // by name

	index map[boxKey]*Box
}

type boxKey struct {
	name string
	kind Kind
}

// maxDepth is the greatest depth of a tree. Deeper boxes are left out.
const maxDepth = 2048

// Tree returns the flame graph of a map. Its steps and values are those of WriteFolded. It
// returns nil if the map has no stacks in its keys.
func Tree(m output.Map) *Box {
	profiles, err := read([]output.Map{m})
	if err != nil {
		return nil
	}
	root := &Box{Name: "all", Kind: Label}
	for _, p := range profiles {
		for i := range p.list {
			s := &p.list[i]
			w := s.weight()
			if w <= 0 {
				continue
			}
			at := root
			at.Weight = saturated(at.Weight, w)
			for i, t := range s.path("", false) {
				if i >= maxDepth {
					break
				}
				at = at.child(t.Name, t.Kind)
				at.Weight = saturated(at.Weight, w)
			}
		}
	}
	root.sort()
	return root
}

func (b *Box) child(name string, kind Kind) *Box {
	key := boxKey{name, kind}
	c := b.index[key]
	if c == nil {
		c = &Box{Name: name, Kind: kind}
		if b.index == nil {
			b.index = map[boxKey]*Box{}
		}
		b.index[key] = c
		b.Children = append(b.Children, c)
	}
	return c
}

func (b *Box) sort() {
	b.index = nil
	slices.SortFunc(b.Children, func(x, y *Box) int {
		return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Kind, y.Kind))
	})
	for _, c := range b.Children {
		c.sort()
	}
}

// Depth returns the number of levels of boxes.
func (b *Box) Depth() int {
	d := 0
	for _, c := range b.Children {
		d = max(d, c.Depth())
	}
	return d + 1
}

// saturated adds two numbers that are not negative. If the sum does not fit, it returns
// the greatest number.
func saturated(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
