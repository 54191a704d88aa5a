package apiserver

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBodyTemplates sends the same bodies to a server that knows what bodies came to, and to one that is made to forget it each time.
// Their answers are the same, whatever a client makes of names, quotes and faults.
func TestBodyTemplates(t *testing.T) {
	const pods, strict, ignore = "POST /api/v1/namespaces/default/pods", "?fieldValidation=Strict", "?fieldValidation=Ignore"
	const spec = `"spec":{"containers":[{"name":"c","image":"i"}]}`
	named := func(name string) string {
		return `{"metadata":{"labels":{"a":"b"},"name":"` + name + `"},` + spec + `}`
	}
	requests := []struct {
		to, body string
		headers  []string
	}{
		{to: pods, body: named("one")},
		{to: pods, body: named("two")},
		{to: pods, body: named("one")}, // is there
		{to: pods, body: named("three"), headers: []string{"User-Agent: another/1"}},
		{to: pods + "?fieldManager=third", body: named("four")},
		{to: pods + "?dryRun=All", body: named("five")},
		{to: pods + strict, body: named("five")},
		{to: "POST /api/v1/namespaces/kube-system/pods", body: named("one")},
		{to: pods, body: named("Two")},
		{to: pods, body: named("")},
		{to: pods, body: named(`x","namespace":"kube-system`)},
		{to: pods, body: named(`x"},"metadata":{"name":"y`)},
		{to: pods, body: named(`\u0061`)},
		{to: pods, body: named("one ")},
		{to: pods, body: named("c")}, // the name of the container too
		{to: pods, body: `{"metadata":{"name":"d"},"spec":{"containers":[{"name":"d","image":"i"}]}}`},
		{to: pods, body: `{"metadata":{"name":"e"},"spec":{"containers":[{"name":"e","image":"i"}]}}`},
		{to: pods, body: `{"metadata":{"name":"\u0066","labels":{"f":"f"}},` + spec + `}`},
		{to: pods, body: `{"metadata":{"name":"\u0066","labels":{"f":"g"}},` + spec + `}`},
		{to: pods + ignore, body: `{"metadata":{"name":"h","name":"i"},"none":1,` + spec + `}`},
		{to: pods + ignore, body: `{"metadata":{"name":"h","name":"j"},"none":1,` + spec + `}`},
		{to: pods + strict, body: `{"metadata":{"name":"h","name":"k"},"none":1,` + spec + `}`},
		{to: pods, body: `{"metadata":{"name":"h","name":"l"},"none":1,` + spec + `}`},
		{to: pods, body: `{"metadata":{"name":"h","name":"m"},"none":1,` + spec + `}`},
		{to: pods, body: `{"metadata":{"name":"n","namespace":"other"},` + spec + `}`},
		{to: pods, body: `{"metadata":{"generateName":"g-"},` + spec + `}`},
		{to: pods, body: `{"metadata":{"generateName":"g-"},` + spec + `}`},
		{to: pods, body: `{"metadata":{"generateName":"g-"},` + spec + `} `},
		{to: pods, body: "metadata: {generateName: y-}\nspec: {containers: [{name: c, image: i}]}", headers: []string{"Content-Type: " + typeYAML}},
		{to: pods, body: "metadata: {generateName: y-}\nspec: {containers: [{name: c, image: i}]}", headers: []string{"Content-Type: " + typeYAML}},
		{to: pods, body: "metadata: {generateName: y-}\nspec: {containers: [{name: c, image: i}]}"},
	}
	knowing, forgetful := start(t), start(t)
	own := regexp.MustCompile(`"(resourceVersion|uid|creationTimestamp|time)":"[^"]*"|(g|y)-[a-z0-9]{5}|kube-api-access-[a-z0-9]{5}`)
	answer := func(c *cluster, to, body string, headers []string) (int, []string, string) {
		resp, text := c.do(to, body, headers...)
		return resp.StatusCode, resp.Header.Values("Warning"), own.ReplaceAllString(text, "OWN")
	}
	for i, r := range requests {
		forgetful.server.templates = bodyTemplates{}
		code, warnings, text := answer(knowing, r.to, r.body, r.headers)
		wantCode, wantWarnings, want := answer(forgetful, r.to, r.body, r.headers)
		require.Equal(t, wantCode, code, "request %d: %s %s: %s", i, r.to, r.body, text)
		require.Equal(t, wantWarnings, warnings, "request %d: %s %s", i, r.to, r.body)
		require.Equal(t, want, text, "request %d: %s %s", i, r.to, r.body)
	}
}

// TestBodyTemplatesAreFew: whatever is sent, what is kept has a bound.
func TestBodyTemplatesAreFew(t *testing.T) {
	kept := &bodyTemplates{}
	for range 3 * templatesMost {
		kept.keep(&bodyTemplate{})
		require.LessOrEqual(t, len(kept.kept), templatesMost)
	}
	require.Nil(t, newTemplate(source{}, make([]byte, templateLarge+1), nil))
}
