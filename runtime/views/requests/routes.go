package requests

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sort"
	"time"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
)

// maxRoutes is the maximum number of separate routes. Requests of other routes are
// counted together.
const maxRoutes = 4096

// otherRoutes is the name for all other routes.
const otherRoutes = "(other routes)"

// routes sums up requests by route, and prints the sums at the end.
type routes struct {
	opt  *Display
	sink output.Sink
	out  *output.Writer
	by   map[string]*route
}

// route holds the sums of one route.
type route struct {
	name          string
	count, failed uint64
	total, most   time.Duration
	steps         map[int]uint64 // requests by step of the latency: see stepOf
	hist          []uint64       // by power of 2, in microseconds
}

// Steps of latencies grow by 1 %.
const stepFactor = 1.01

func stepOf(d time.Duration) int {
	return int(math.Ceil(math.Log(max(float64(d), 1)) / math.Log(stepFactor)))
}

func (r *routes) request(q *Request) {
	name := q.route
	if q.Host != "" {
		name = q.Host + " " + name
	}
	s := r.by[name]
	if s == nil {
		if len(r.by) >= maxRoutes {
			name = otherRoutes
			s = r.by[name]
		}
		if s == nil {
			s = &route{name: name, steps: map[int]uint64{}}
			r.by[name] = s
		}
	}
	s.count++
	if q.Failed {
		s.failed++
	}
	s.total += q.Latency
	s.most = max(s.most, q.Latency)
	s.steps[stepOf(q.Latency)]++
	n := bits.Len64(uint64(max(q.Latency.Microseconds(), 0)))
	for len(s.hist) <= n {
		s.hist = append(s.hist, 0)
	}
	s.hist[n]++
}

// percentile returns the latency that p of 100 requests do not exceed, with an error of 1 %.
func (s *route) percentile(p float64) time.Duration {
	var steps []int
	for n := range s.steps {
		steps = append(steps, n)
	}
	slices.Sort(steps)
	left := uint64(math.Ceil(p / 100 * float64(s.count)))
	for _, n := range steps {
		if s.steps[n] >= left {
			return min(time.Duration(math.Pow(stepFactor, float64(n))), s.most)
		}
		left -= s.steps[n]
	}
	return s.most
}

func (r *routes) end() {
	var list []*route
	for _, s := range r.by {
		list = append(list, s)
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		return a.total > b.total || a.total == b.total && a.name < b.name
	})
	if r.opt.Top > 0 {
		r.top(list[:min(len(list), r.opt.Top)])
	}
	if r.opt.Hist {
		m := output.Map{Name: "@us", Keyed: true}
		for _, s := range list {
			m.Entries = append(m.Entries, value.Entry{Key: value.Str{S: s.name}, Value: histogram(s.hist)})
		}
		r.sink.Map(m)
	}
}

// top prints the routes that take most time.
func (r *routes) top(list []*route) {
	if !r.opt.JSON {
		fmt.Fprintf(r.out, "%8s %7s %9s %9s %9s %9s %9s  %s\n", "COUNT", "ERRORS", "TOTAL", "P50", "P90", "P99", "MAX", "ROUTE")
	}
	for _, s := range list {
		p50, p90, p99 := s.percentile(50), s.percentile(90), s.percentile(99)
		if !r.opt.JSON {
			fmt.Fprintf(r.out, "%8d %7d %9s %9s %9s %9s %9s  %s\n", s.count, s.failed, duration(s.total),
				duration(p50), duration(p90), duration(p99), duration(s.most), printable(s.name))
			continue
		}
		o := object{}
		o.add("type", "route")
		o.add("route", s.name)
		o.add("count", s.count)
		o.add("errors", s.failed)
		o.add("total_ns", s.total.Nanoseconds())
		o.add("p50_ns", p50.Nanoseconds())
		o.add("p90_ns", p90.Nanoseconds())
		o.add("p99_ns", p99.Nanoseconds())
		o.add("max_ns", s.most.Nanoseconds())
		r.out.Write(append(o.bytes(), '\n'))
	}
}
