package ir

// NumValues is an upper bound of the IDs of the function's values.
func (f *Func) NumValues() int { return f.nextID }

// NumBlocks is an upper bound of the IDs of the function's blocks.
func (f *Func) NumBlocks() int { return f.nextB }

// AddBlock adds an empty block at the end of the function, for passes.
func (f *Func) AddBlock() *Block {
	blk := &Block{ID: f.nextB, Func: f, sealed: true}
	f.nextB++
	f.Blocks = append(f.Blocks, blk)
	return blk
}

// Dom is what passes ask of a function's control flow: reverse postorder,
// dominators and natural loops. It is a snapshot: changing an edge makes it stale.
type Dom struct {
	RPO []*Block // reachable blocks only, entry first

	order    []int // block ID → index in RPO, -1 where unreachable
	idom     []*Block
	pre      []int // preorder and last-descendant numbers in the dominator tree
	last     []int
	children [][]*Block
	depth    []int    // loop nesting, 0 outside all loops
	header   []*Block // innermost loop's header, or nil
}

// NewDom analyses f (Cooper, Harvey, Kennedy: "A Simple, Fast Dominance Algorithm").
func NewDom(f *Func) *Dom {
	n := f.nextB
	d := &Dom{
		order: make([]int, n), idom: make([]*Block, n), pre: make([]int, n), last: make([]int, n),
		children: make([][]*Block, n), depth: make([]int, n), header: make([]*Block, n),
	}
	d.RPO = RPO(f)
	for i := range d.order {
		d.order[i] = -1
	}
	for i, b := range d.RPO {
		d.order[b.ID] = i
	}
	entry := f.Blocks[0]
	d.idom[entry.ID] = entry
	for changed := true; changed; {
		changed = false
		for _, b := range d.RPO[1:] {
			var dom *Block
			for _, p := range b.Preds {
				if d.order[p.ID] < 0 || d.idom[p.ID] == nil {
					continue
				}
				if dom == nil {
					dom = p
				} else {
					dom = d.common(dom, p)
				}
			}
			if d.idom[b.ID] != dom {
				d.idom[b.ID], changed = dom, true
			}
		}
	}
	for _, b := range d.RPO[1:] {
		p := d.idom[b.ID]
		d.children[p.ID] = append(d.children[p.ID], b)
	}
	d.number(entry)
	d.idom[entry.ID] = nil
	d.loops()
	return d
}

// RPO lists the reachable blocks of f in reverse postorder.
func RPO(f *Func) []*Block {
	seen := make([]bool, f.nextB)
	post := make([]*Block, 0, len(f.Blocks))
	type frame struct {
		b    *Block
		next int
	}
	stack := []frame{{f.Blocks[0], 0}}
	seen[f.Blocks[0].ID] = true
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		// Last successor first, so that the first one comes right after its block.
		if i := len(top.b.Succs) - 1 - top.next; i >= 0 {
			top.next++
			if s := top.b.Succs[i]; !seen[s.ID] {
				seen[s.ID] = true
				stack = append(stack, frame{s, 0})
			}
			continue
		}
		post = append(post, top.b)
		stack = stack[:len(stack)-1]
	}
	for i, j := 0, len(post)-1; i < j; i, j = i+1, j-1 {
		post[i], post[j] = post[j], post[i]
	}
	return post
}

func (d *Dom) common(a, b *Block) *Block {
	for a != b {
		for d.order[a.ID] > d.order[b.ID] {
			a = d.idom[a.ID]
		}
		for d.order[b.ID] > d.order[a.ID] {
			b = d.idom[b.ID]
		}
	}
	return a
}

// number walks the dominator tree without recursion: programs may be deep.
func (d *Dom) number(entry *Block) {
	n := 0
	type frame struct {
		b    *Block
		next int
	}
	stack := []frame{{entry, 0}}
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if top.next == 0 {
			d.pre[top.b.ID] = n
			n++
		}
		if top.next < len(d.children[top.b.ID]) {
			c := d.children[top.b.ID][top.next]
			top.next++
			stack = append(stack, frame{c, 0})
			continue
		}
		d.last[top.b.ID] = n - 1
		stack = stack[:len(stack)-1]
	}
}

// loops finds natural loops: for each back edge, everything that reaches it
// without passing the header. Inner headers come later in RPO, so walking RPO
// lets them overwrite the outer ones.
func (d *Dom) loops() {
	for _, h := range d.RPO {
		var body map[*Block]bool
		var work []*Block
		for _, p := range h.Preds {
			if d.Reachable(p) && d.Dominates(h, p) {
				if body == nil {
					body = map[*Block]bool{h: true}
				}
				if !body[p] {
					body[p] = true
					work = append(work, p)
				}
			}
		}
		for len(work) > 0 {
			b := work[len(work)-1]
			work = work[:len(work)-1]
			for _, p := range b.Preds {
				if d.Reachable(p) && !body[p] {
					body[p] = true
					work = append(work, p)
				}
			}
		}
		for b := range body {
			d.depth[b.ID]++
			d.header[b.ID] = h
		}
	}
}

// Reachable reports whether b can be reached from the entry.
func (d *Dom) Reachable(b *Block) bool { return d.order[b.ID] >= 0 }

// Order is b's index in RPO.
func (d *Dom) Order(b *Block) int { return d.order[b.ID] }

// IDom is b's immediate dominator, nil for the entry.
func (d *Dom) IDom(b *Block) *Block { return d.idom[b.ID] }

// Children are the blocks that b immediately dominates, in RPO.
func (d *Dom) Children(b *Block) []*Block { return d.children[b.ID] }

// Dominates reports whether every path from the entry to b passes a; a block
// dominates itself.
func (d *Dom) Dominates(a, b *Block) bool {
	return d.pre[a.ID] <= d.pre[b.ID] && d.pre[b.ID] <= d.last[a.ID]
}

// Common is the nearest block that dominates both a and b.
func (d *Dom) Common(a, b *Block) *Block {
	for !d.Dominates(a, b) {
		a = d.idom[a.ID]
	}
	return a
}

// LoopDepth is the number of loops b is in.
func (d *Dom) LoopDepth(b *Block) int { return d.depth[b.ID] }

// LoopHeader is the header of the innermost loop b is in, or nil.
func (d *Dom) LoopHeader(b *Block) *Block { return d.header[b.ID] }
