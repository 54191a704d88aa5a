package fairness

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"bonsai/pkg/golden"
)

// TestTranscripts plays the lines of testdata/queues/NAME.txt and holds what they come to against NAME.output.
//
//	level seats=4 queues=8 hand=2 length=3    a level
//	arrive web 1 [seats=2] [after=1/5ms]      a request of the flow web, called 1
//	end 1 | leave 1                           it has been served, or gives up waiting
//	tick 10ms | resize 2
func TestTranscripts(t *testing.T) {
	golden.Each(t, "testdata/queues/*.txt", ".output", func(t *testing.T, input string) string {
		p := &player{t: t, now: time.Unix(0, 0), tickets: map[string]*ticket{}}
		for line := range strings.Lines(input) {
			p.play(strings.Fields(line))
		}
		return p.out.String()
	})
}

type player struct {
	t       *testing.T
	set     queueSet
	now     time.Time
	tickets map[string]*ticket
	names   []string
	out     strings.Builder
}

func (p *player) play(words []string) {
	if len(words) == 0 || words[0] == "#" {
		fmt.Fprintln(&p.out, strings.Join(words, " "))
		return
	}
	options := map[string]string{}
	for _, w := range words {
		if name, value, ok := strings.Cut(w, "="); ok {
			options[name] = value
		}
	}
	before := p.states()
	verdict := p.do(words, options)
	fmt.Fprintf(&p.out, "%s%s\n", strings.Join(words, " "), verdict)
	for _, name := range p.names {
		if was, is := before[name], p.states()[name]; was != is && was != "" && is != "" {
			fmt.Fprintf(&p.out, "    %s %s\n", name, is)
		}
	}
	fmt.Fprintf(&p.out, "    taken %d/%d, waiting %d\n", p.set.taken, p.set.limit, p.set.waiting)
}

func (p *player) states() map[string]string {
	out := map[string]string{}
	for name, t := range p.tickets {
		out[name] = "waits"
		if t.running() {
			out[name] = "runs"
		}
	}
	return out
}

func (p *player) do(words []string, o map[string]string) string {
	number := func(name string) int {
		n, err := strconv.Atoi(o[name])
		require.NoError(p.t, err, "%s of %v", name, words)
		return n
	}
	switch words[0] {
	case "level":
		p.set = queueSet{queues: map[int]*queue{}, at: p.now, limit: number("seats")}
		if o["queues"] != "" {
			p.set.shape = shape{queues: number("queues"), hand: number("hand"), length: number("length")}
		}
	case "arrive":
		return p.arrive(words[1], words[2], o)
	case "end":
		p.set.end(p.tickets[words[1]], p.now)
		delete(p.tickets, words[1])
	case "leave":
		ok := p.set.abandon(p.tickets[words[1]], p.now)
		delete(p.tickets, words[1])
		return fmt.Sprintf(" -> %v", ok)
	case "resize":
		limit, err := strconv.Atoi(words[1])
		require.NoError(p.t, err)
		p.set.pass(p.now)
		p.set.limit = limit
		p.set.dispatch(p.now)
	case "tick":
		d, err := time.ParseDuration(words[1])
		require.NoError(p.t, err)
		p.now = p.now.Add(d)
	default:
		require.Fail(p.t, "no such word", words[0])
	}
	return ""
}

func (p *player) arrive(flow, name string, o map[string]string) string {
	t := &ticket{work: Work{Seats: 1}}
	if o["seats"] != "" {
		t.work.Seats, _ = strconv.Atoi(o["seats"])
	}
	if seats, longer, ok := strings.Cut(o["after"], "/"); ok {
		t.work.After, _ = strconv.Atoi(seats)
		t.work.Longer, _ = time.ParseDuration(longer)
	}
	if !p.set.arrive(t, flowHash("schema", flow), p.now) {
		return " -> turned away"
	}
	p.tickets[name] = t
	p.names = append(p.names, name)
	return " -> " + p.states()[name]
}

// Whatever comes, in whatever order: seats are never given twice, nobody waits while there is room for the first in turn, everybody
// is served, and nothing is left behind.
func TestQueuesProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 8).Draw(t, "limit")
		s := queueSet{queues: map[int]*queue{}, at: time.Unix(0, 0), limit: limit,
			shape: shape{queues: rapid.IntRange(1, 16).Draw(t, "queues"), hand: 1, length: 4}}
		s.hand = rapid.IntRange(1, s.shape.queues).Draw(t, "hand")
		now, live := time.Unix(0, 0), []*ticket{}
		check := func() {
			taken, running, waiting := 0, 0, 0
			for _, x := range live {
				if x.running() {
					taken, running = taken+x.work.most(), running+1
				} else {
					waiting++
				}
			}
			require.Equal(t, []int{taken, running, waiting}, []int{s.taken, s.running, s.waiting})
			require.True(t, taken <= limit || running == 1, "%d of %d seats", taken, limit)
			if waiting > 0 {
				require.False(t, s.fits(s.inTurn().waiting[0]))
			}
		}
		end := func(i int) {
			x := live[i]
			live = slices.Delete(live, i, i+1)
			if x.running() {
				s.end(x, now)
			} else {
				require.True(t, s.abandon(x, now))
			}
		}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "ms")) * time.Millisecond)
			if len(live) > 0 && rapid.Bool().Draw(t, "end") {
				end(rapid.IntRange(0, len(live)-1).Draw(t, "which"))
			} else {
				x := &ticket{work: Work{Seats: rapid.IntRange(1, 10).Draw(t, "seats")}}
				if s.arrive(x, rapid.Uint64Max(1<<60-1).Draw(t, "hash"), now) {
					live = append(live, x)
				}
			}
			check()
		}
		for len(live) > 0 {
			i := slices.IndexFunc(live, (*ticket).running)
			require.GreaterOrEqual(t, i, 0, "all wait and nobody runs")
			end(i)
			check()
		}
		require.Empty(t, s.queues)
	})
}

// A hand has different cards of the deck, and all hands are dealt.
func TestDeal(t *testing.T) {
	seen := map[[2]int]bool{}
	for hash := range uint64(12) {
		hand := deal(hash, 4, make([]int, 2))
		require.True(t, hand[0] < hand[1] && hand[0] >= 0 && hand[1] < 4, "%v", hand)
		seen[[2]int(hand)] = true
	}
	require.Len(t, seen, 6)
	require.Equal(t, []int{0, 1, 2}, deal(flowHash("a", "b"), 3, make([]int, 3)))
}

// One flow that always has fifty waiting and one that has one at a time, with service of equal length, get the same: in a queue each.
func TestFloodIsFair(t *testing.T) {
	s := queueSet{queues: map[int]*queue{}, at: time.Unix(0, 0), limit: 1, shape: shape{queues: 64, hand: 1, length: 50}}
	now := time.Unix(0, 0)
	served := map[string]int{}
	waiting := map[string][]*ticket{}
	fill := func(flow string, n int) {
		for len(waiting[flow]) < n {
			x := &ticket{work: Work{Seats: 1}}
			require.True(t, s.arrive(x, flowHash("s", flow), now))
			waiting[flow] = append(waiting[flow], x)
		}
	}
	for range 1000 {
		fill("flood", 50)
		fill("small", 2) // one in work, one in line
		for flow, list := range waiting {
			if i := slices.IndexFunc(list, (*ticket).running); i >= 0 {
				now = now.Add(10 * time.Millisecond)
				s.end(list[i], now)
				waiting[flow] = slices.Delete(list, i, i+1)
				served[flow]++
				break
			}
		}
	}
	require.InDelta(t, 500, served["small"], 50, "%v", served)
}
