package ir

// NumValues returns an upper bound of the IDs of the function's values.
func (f *Func) NumValues() int { return f.nextID }

// NumBlocks returns an upper bound of the IDs of the function's blocks.
func (f *Func) NumBlocks() int { return f.nextB }

// Reserve makes new values and blocks have at least the given numbers.
func (f *Func) Reserve(values, blocks int) {
	f.nextID, f.nextB = max(f.nextID, values), max(f.nextB, blocks)
}

// AddBlock adds an empty block at the end of the function, for passes.
//
//go:noinline
func (f *Func) AddBlock() *Block {
	blk := &Block{ID: f.nextB, Func: f, sealed: true}
	f.nextB++
	f.Blocks = append(f.Blocks, blk)
	return blk
}

// Dom describes a function's control flow: reverse postorder, dominators and natural
// loops. It is not updated when edges change.
type Dom struct {
	RPO []*Block // reachable blocks only, entry first

	order    []int // block ID → index in RPO, -1 where unreachable
	idom     []*Block
	pre      []int // preorder and last-descendant numbers in the dominator tree
	last     []int
	children [][]*Block
	depth    []int // loop nesting, 0 outside all loops
}

// NewDom analyzes f.
func NewDom(f *Func) *Dom {
	n := f.nextB
	d := &Dom{
		order: make([]int, n), idom: make([]*Block, n), pre: make([]int, n), last: make([]int, n),
		children: make([][]*Block, n), depth: make([]int, n),
	}
	d.RPO = RPO(f)
	for i := range d.order {
		d.order[i] = -1
	}
	for i, b := range d.RPO {
		d.order[b.ID] = i
	}
	d.dominators()
	entry := f.Blocks[0]
	d.idom[entry.ID] = entry
	for _, b := range d.RPO[1:] {
		p := d.idom[b.ID]
		d.children[p.ID] = append(d.children[p.ID], b)
	}
	d.number(entry)
	d.idom[entry.ID] = nil
	d.loops()
	return d
}

// dominators finds the immediate dominators (Lengauer, Tarjan: "A Fast Algorithm
// for Finding Dominators in a Flowgraph"). The simple version of the algorithm takes
// time O(m log n) even if a block has thousands of predecessors.
func (d *Dom) dominators() {
	n := len(d.RPO)
	lt := &semidominators{ancestor: make([]int32, n), label: make([]int32, n), semi: make([]int32, n)}
	vertex, parent := make([]int32, 0, n), make([]int32, n) // by number in depth-first order; RPO index of each
	number := make([]int32, n)                              // by RPO index
	for i := range number {
		number[i] = -1
	}
	type frame struct {
		b    *Block
		next int
	}
	visit := func(b *Block, from int32) frame {
		k := int32(len(vertex))
		number[d.order[b.ID]] = k
		vertex = append(vertex, int32(d.order[b.ID]))
		parent[k], lt.semi[k], lt.label[k], lt.ancestor[k] = from, k, k, -1
		return frame{b, 0}
	}
	stack := []frame{visit(d.RPO[0], -1)}
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if top.next == len(top.b.Succs) {
			stack = stack[:len(stack)-1]
			continue
		}
		s := top.b.Succs[top.next]
		top.next++
		if number[d.order[s.ID]] < 0 {
			stack = append(stack, visit(s, number[d.order[top.b.ID]]))
		}
	}
	idom := make([]int32, n)
	bucket, link := make([]int32, n), make([]int32, n) // lists of vertices with one semidominator
	for i := range bucket {
		bucket[i] = -1
	}
	for w := int32(n - 1); w > 0; w-- {
		for _, p := range d.RPO[vertex[w]].Preds {
			if d.order[p.ID] < 0 {
				continue
			}
			u := lt.eval(number[d.order[p.ID]])
			lt.semi[w] = min(lt.semi[w], lt.semi[u])
		}
		link[w], bucket[lt.semi[w]] = bucket[lt.semi[w]], w
		up := parent[w]
		lt.ancestor[w] = up
		for v := bucket[up]; v >= 0; v = link[v] {
			if u := lt.eval(v); lt.semi[u] < lt.semi[v] {
				idom[v] = u
			} else {
				idom[v] = up
			}
		}
		bucket[up] = -1
	}
	for w := 1; w < n; w++ {
		if idom[w] != lt.semi[w] {
			idom[w] = idom[idom[w]]
		}
		d.idom[d.RPO[vertex[w]].ID] = d.RPO[vertex[idom[w]]]
	}
}

// semidominators is the forest of the algorithm, with path compression.
type semidominators struct {
	ancestor, label, semi []int32
	path                  []int32
}

// eval returns the vertex with the least semidominator on the path from v to the root
// of its tree, without the root.
func (s *semidominators) eval(v int32) int32 {
	if s.ancestor[v] < 0 {
		return v
	}
	s.path = s.path[:0]
	for u := v; s.ancestor[s.ancestor[u]] >= 0; u = s.ancestor[u] {
		s.path = append(s.path, u)
	}
	for i := len(s.path) - 1; i >= 0; i-- {
		u := s.path[i]
		a := s.ancestor[u]
		if s.semi[s.label[a]] < s.semi[s.label[u]] {
			s.label[u] = s.label[a]
		}
		s.ancestor[u] = s.ancestor[a]
	}
	return s.label[v]
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
		// Visit the last successor first, so that the first one follows its block
		// immediately.
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

// number walks the dominator tree without recursion, as programs may be deep.
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

// loops finds natural loops: for each back edge, all blocks that reach it without
// passing the header.
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
		}
	}
}

// Reachable reports whether b can be reached from the entry.
//
//go:noinline
func (d *Dom) Reachable(b *Block) bool { return d.order[b.ID] >= 0 }

// IDom returns b's immediate dominator, or nil for the entry.
func (d *Dom) IDom(b *Block) *Block { return d.idom[b.ID] }

// Children returns the blocks that b immediately dominates, in RPO.
func (d *Dom) Children(b *Block) []*Block { return d.children[b.ID] }

// Dominates reports whether every path from the entry to b passes through a. A block
// dominates itself.
func (d *Dom) Dominates(a, b *Block) bool {
	return d.pre[a.ID] <= d.pre[b.ID] && d.pre[b.ID] <= d.last[a.ID]
}

// Common returns the nearest block that dominates both a and b.
func (d *Dom) Common(a, b *Block) *Block {
	for !d.Dominates(a, b) {
		a = d.idom[a.ID]
	}
	return a
}

// LoopDepth returns the number of loops that contain b.
func (d *Dom) LoopDepth(b *Block) int { return d.depth[b.ID] }
