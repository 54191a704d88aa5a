package apiserver

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"bonsai/pkg/store"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// lines opens a watch and returns what reads its next event, normalised.
func (c *cluster) lines(path string, headers ...string) (next func() string, stop func()) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	req, err := http.NewRequestWithContext(ctx, "GET", c.url+path, nil)
	require.NoError(c.t, err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := c.http.Do(req)
	require.NoError(c.t, err)
	require.Equal(c.t, http.StatusOK, resp.StatusCode)
	r := bufio.NewReader(resp.Body)
	return func() string {
		line, err := r.ReadString('\n')
		if err != nil {
			return err.Error()
		}
		return strings.TrimSpace(steady(line))
	}, func() { cancel(); resp.Body.Close() }
}

func (c *cluster) makeMap(name, app string) *corev1.ConfigMap {
	m := configMap(name)
	m.Labels = map[string]string{"app": app}
	made, err := c.client.CoreV1().ConfigMaps("default").Create(c.t.Context(), m, metav1.CreateOptions{FieldManager: "m"})
	require.NoError(c.t, err)
	return made
}

// short is an event in few words: its type and the object's name, or what else there is to say about it.
func short(line string) string {
	var e struct {
		Type   string
		Object struct {
			Kind     string
			Metadata struct {
				Name        string
				Annotations map[string]string
			}
			Code    int
			Reason  string
			Columns []any `json:"columnDefinitions"`
			Rows    []struct{ Cells []any }
		}
	}
	if json.Unmarshal([]byte(line), &e) != nil {
		return line
	}
	out := e.Type + " " + e.Object.Kind + " " + e.Object.Metadata.Name
	switch {
	case e.Object.Kind == "Status":
		out += e.Object.Reason
	case e.Object.Kind == "Table" && len(e.Object.Columns) > 0:
		out += "with head"
	case e.Object.Metadata.Annotations[metav1.InitialEventsAnnotationKey] != "":
		out += "end of the state"
	}
	return strings.TrimSpace(out)
}

func TestWatchBegins(t *testing.T) {
	c := start(t)
	first := c.makeMap("a", "x")
	c.makeMap("b", "y")
	const maps = "/api/v1/namespaces/default/configmaps?watch=true"
	const state = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
	for _, test := range []struct{ name, query, want string }{
		{"without a revision: the state", "", "ADDED ConfigMap a|ADDED ConfigMap b|ADDED ConfigMap new"},
		{"at 0: the state", "&resourceVersion=0", "ADDED ConfigMap a|ADDED ConfigMap b|ADDED ConfigMap new"},
		{"after a revision: what came then", "&resourceVersion=" + first.ResourceVersion, "ADDED ConfigMap b|ADDED ConfigMap new"},
		{"by name", "&fieldSelector=metadata.name%3Dnew", "ADDED ConfigMap new"},
		{"by label", "&labelSelector=app%3Dy", "ADDED ConfigMap b|ADDED ConfigMap new"},
		{"the state, and its end", state + "&allowWatchBookmarks=true",
			"ADDED ConfigMap a|ADDED ConfigMap b|BOOKMARK ConfigMap end of the state|ADDED ConfigMap new"},
		{"without the state", "&sendInitialEvents=false&resourceVersionMatch=NotOlderThan", "ADDED ConfigMap new"},
	} {
		t.Run(test.name, func(t *testing.T) {
			next, stop := c.lines(maps + test.query)
			defer stop()
			want := strings.Split(test.want, "|")
			for i := range want {
				if strings.HasSuffix(want[i], "new") {
					c.makeMap("new", "y")
					defer func() {
						require.NoError(t, c.client.CoreV1().ConfigMaps("default").Delete(t.Context(), "new", metav1.DeleteOptions{}))
					}()
				}
				require.Equal(t, want[i], short(next()))
			}
		})
	}
}

// forgetful is a store that has forgotten everything but the present.
type forgetful struct{ store.API }

func (forgetful) Watch(context.Context, store.WatchOptions) (*store.Watcher, error) {
	return nil, store.ErrTooOld
}

func (f forgetful) List(ctx context.Context, prefix string, at store.ReadAt, o store.ListOptions) (*store.Page, error) {
	if at.Kind == store.Exact {
		return nil, store.ErrTooOld
	}
	return f.API.List(ctx, prefix, at, o)
}

// What is gone is told inside a watch, because that is where clients look, and as a 410 for a list, with a way to go on.
func TestExpired(t *testing.T) {
	c := start(t, func(cfg *Config) { cfg.Store = forgetful{cfg.Store} })
	c.makeMap("a", "x")
	c.makeMap("b", "x")
	page, err := c.client.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{Limit: 1})
	require.NoError(t, err)

	next, stop := c.lines("/api/v1/configmaps?watch=true&resourceVersion=7")
	defer stop()
	require.Equal(t, "ERROR Status Expired", short(next()))
	require.Equal(t, "EOF", next())

	maps := c.client.CoreV1().ConfigMaps("default")
	_, err = maps.List(t.Context(), metav1.ListOptions{Limit: 1, Continue: page.Continue})
	require.True(t, apierrors.IsResourceExpired(err), err)
	fresh := err.(apierrors.APIStatus).Status().Continue
	rest, err := maps.List(t.Context(), metav1.ListOptions{Limit: 1, Continue: fresh})
	require.NoError(t, err)
	require.Equal(t, "b", rest.Items[0].Name)
	_, err = maps.List(t.Context(), metav1.ListOptions{ResourceVersion: "7", ResourceVersionMatch: metav1.ResourceVersionMatchExact})
	require.True(t, apierrors.IsResourceExpired(err), err)
}

func TestWatchShapes(t *testing.T) {
	c := start(t)
	c.makeMap("a", "x")
	c.makeMap("b", "x")
	const maps = "/api/v1/namespaces/default/configmaps?watch=true"

	next, stop := c.lines(maps, "Accept: application/json;as=Table;g=meta.k8s.io;v=v1")
	defer stop()
	require.Equal(t, "ADDED Table with head", short(next()))
	require.Equal(t, "ADDED Table", short(next()))

	next, stop = c.lines(maps, "Accept: application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json")
	defer stop()
	require.Equal(t, "ADDED PartialObjectMetadata a", short(next()))
}

// A change of labels moves an object into and out of what a watch sees.
func TestWatchSelectorIsAScope(t *testing.T) {
	c := start(t)
	m := c.makeMap("a", "x")
	next, stop := c.lines("/api/v1/configmaps?watch=true&labelSelector=app%3Dy&resourceVersion=" + m.ResourceVersion)
	defer stop()
	maps := c.client.CoreV1().ConfigMaps("default")
	for _, app := range []string{"y", "y2", "y"} {
		m.Labels["app"] = app
		var err error
		m, err = maps.Update(t.Context(), m, metav1.UpdateOptions{})
		require.NoError(t, err)
	}
	require.Equal(t, "ADDED ConfigMap a", short(next()))
	require.Equal(t, "DELETED ConfigMap a", short(next()))
	require.Equal(t, "ADDED ConfigMap a", short(next()))
}

func TestWatchEndsInTime(t *testing.T) {
	c := start(t)
	next, stop := c.lines("/api/v1/configmaps?watch=true&timeoutSeconds=1")
	defer stop()
	for {
		if line := next(); line == "EOF" {
			return
		}
	}
}

// Informers list, watch and resume in every encoding, and see the same.
func TestInformers(t *testing.T) {
	c := start(t)
	c.makeMap("before", "x")
	for _, contentType := range []string{typeJSON, typeProtobuf} {
		client, err := kubernetes.NewForConfig(&rest.Config{Host: c.url, QPS: -1, TLSClientConfig: rest.TLSClientConfig{Insecure: true},
			ContentConfig: rest.ContentConfig{ContentType: contentType, AcceptContentTypes: contentType}})
		require.NoError(t, err)
		maps := client.CoreV1().ConfigMaps("")
		seen := make(chan string, 16)
		_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
			ListerWatcher: &cache.ListWatch{
				ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return maps.List(ctx, o) },
				WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
					return maps.Watch(ctx, o)
				},
			},
			ObjectType: &corev1.ConfigMap{},
			Handler: cache.ResourceEventHandlerFuncs{
				AddFunc:    func(o any) { seen <- "added " + o.(*corev1.ConfigMap).Name },
				DeleteFunc: func(o any) { seen <- "deleted " + o.(*corev1.ConfigMap).Name },
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		go informer.RunWithContext(ctx)
		require.Equal(t, "added before", <-seen)
		c.makeMap("after", "x")
		require.Equal(t, "added after", <-seen)
		require.NoError(t, client.CoreV1().ConfigMaps("default").Delete(t.Context(), "after", metav1.DeleteOptions{}))
		require.Equal(t, "deleted after", <-seen)
		cancel()
	}
}
