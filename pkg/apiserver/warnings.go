package apiserver

import (
	"net/http"
	"unicode/utf8"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// An object may be wrong in thousands of ways that are only warned of, and clients refuse answers with too many headers. So once all
// warnings together are long, each is cut short, and once that is too much too, the rest is left out.
const (
	warningsAtOnce = 4096 // runes of all
	warningShort   = 256  // runes of each, from then on
)

// warnings are what a request is warned of.
type warnings struct {
	seen    map[string]bool
	texts   []string
	length  int
	cutting bool
}

// add adds a Warning header, unless the client has been told so already.
func (w *warnings) add(h http.Header, text string) {
	if w.seen[text] || w.cutting && w.length >= warningsAtOnce {
		return
	}
	if w.seen == nil {
		w.seen = map[string]bool{}
	}
	w.seen[text] = true
	if !w.cutting {
		w.texts = append(w.texts, text)
		if w.length+utf8.RuneCountInString(text) <= warningsAtOnce {
			w.write(h, text)
			return
		}
		w.begin(h)
		return
	}
	w.write(h, text)
}

// begin cuts short what there is so far.
func (w *warnings) begin(h http.Header) {
	w.cutting, w.length = true, 0
	h.Del("Warning")
	for _, text := range w.texts {
		if w.length < warningsAtOnce {
			w.write(h, text)
		}
	}
	w.texts = nil
}

func (w *warnings) write(h http.Header, text string) {
	if w.cutting && utf8.RuneCountInString(text) > warningShort {
		text = string([]rune(text)[:warningShort])
	}
	header, err := utilnet.NewWarningHeader(299, "-", text)
	if err != nil {
		return // the text is empty or not UTF-8, which a header cannot say
	}
	w.length += utf8.RuneCountInString(text)
	h.Add("Warning", header)
}
