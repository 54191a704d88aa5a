package fairness

// Shuffle sharding: a hash of a flow's name is read as a choice of hand queues out of many, as one deals cards: the first of deck
// possible, the second of the deck-1 that remain, and so on. The bits of the hash that chose one card are divided away before the next.

// maxHand is the most queues that a hash of 60 bits can choose: of few queues, at most all.
const maxHand = 64

// deal writes the flow's queues into hand, which has the length that is wanted, and returns it.
func deal(hash uint64, deck int, hand []int) []int {
	for i := range hand {
		left := uint64(deck - i)
		card := int(hash % left)
		hash /= left
		// card counts among the cards that are not dealt yet. The earlier ones are kept sorted, so that each that is not greater
		// moves it up by one.
		at := 0
		for at < i && hand[at] <= card {
			card++
			at++
		}
		copy(hand[at+1:i+1], hand[at:i])
		hand[at] = card
	}
	return hand
}

// flowHash names a flow: FNV-1a of the schema and what distinguishes the flow in it.
func flowHash(schema, distinguisher string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(schema) {
		h = (h ^ uint64(schema[i])) * 1099511628211
	}
	h = (h ^ 0xff) * 1099511628211
	for i := range len(distinguisher) {
		h = (h ^ uint64(distinguisher[i])) * 1099511628211
	}
	// The last bytes have moved the upper bits the most, and the cards are dealt by remainders: mix once more.
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	return (h ^ h>>29) & (1<<60 - 1)
}
