package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// fill makes n config maps m000… .
func (s *server) fill(n int) {
	s.Helper()
	var g errgroup.Group
	g.SetLimit(32)
	for i := range n {
		g.Go(func() error {
			_, err := s.client.CoreV1().ConfigMaps("default").Create(s.Context(), configMap(fmt.Sprintf("m%03d", i), nil), metav1.CreateOptions{})
			return err
		})
	}
	require.NoError(s, g.Wait())
}

// churn makes, changes and deletes config maps until it is stopped.
func (s *server) churn() (stop func()) {
	ctx, cancel := context.WithCancel(s.Context())
	maps := s.client.CoreV1().ConfigMaps("default")
	var g errgroup.Group
	for w := range 4 {
		g.Go(func() error {
			for i := 0; ctx.Err() == nil; i++ {
				m, err := maps.Create(ctx, configMap(fmt.Sprintf("m%03d-%d", (i*7)%100, w), nil), metav1.CreateOptions{})
				if err != nil {
					return err
				}
				m.Data = map[string]string{"i": strconv.Itoa(i)}
				if _, err := maps.Update(ctx, m, metav1.UpdateOptions{}); err != nil {
					return err
				}
				if err := maps.Delete(ctx, m.Name, metav1.DeleteOptions{}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return func() {
		cancel()
		if err := g.Wait(); err != nil {
			require.ErrorIs(s, err, context.Canceled)
		}
	}
}

// pages reads a list in pages of limit.
func (s *server) pages(limit int64) (items []corev1.ConfigMap, revisions map[string]bool) {
	revisions = map[string]bool{}
	o := metav1.ListOptions{Limit: limit}
	for {
		page, err := s.client.CoreV1().ConfigMaps("default").List(s.Context(), o)
		require.NoError(s, err)
		items = append(items, page.Items...)
		revisions[page.ResourceVersion] = true
		if o.Continue = page.Continue; o.Continue == "" {
			return items, revisions
		}
		require.NotNil(s, page.RemainingItemCount)
	}
}

// However many pages a list is read in and whatever is written meanwhile, it is the one state.
func TestPagesAreOneState(t *testing.T) {
	s := startServer(t)
	s.fill(100)
	stop := s.churn()
	for _, limit := range []int64{1, 7, 33, 1000} {
		got, revisions := s.pages(limit)
		require.Len(t, revisions, 1)
		for rev := range revisions {
			whole, err := s.client.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{ResourceVersion: rev, ResourceVersionMatch: metav1.ResourceVersionMatchExact})
			require.NoError(t, err)
			require.Equal(t, whole.Items, got, "pages of %d", limit)
			require.Equal(t, rev, whole.ResourceVersion)
		}
	}
	stop()
}

// A page of a state that etcd has forgotten is refused, with a way to go on.
func TestExpiredPage(t *testing.T) {
	s := startServer(t)
	s.fill(10)
	ctx, maps := t.Context(), s.client.CoreV1().ConfigMaps("default")
	page, err := maps.List(ctx, metav1.ListOptions{Limit: 4})
	require.NoError(t, err)
	old := page.ResourceVersion
	require.NoError(t, maps.Delete(ctx, "m003", metav1.DeleteOptions{}))
	require.NoError(t, maps.Delete(ctx, "m005", metav1.DeleteOptions{}))
	s.compact()
	s.stop()
	s.start() // the server remembers for longer than etcd, as long as it runs

	_, err = maps.List(ctx, metav1.ListOptions{Limit: 4, Continue: page.Continue})
	require.True(t, apierrors.IsResourceExpired(err), "%v", err)
	status := err.(apierrors.APIStatus).Status()
	require.EqualValues(t, 410, status.Code)
	require.NotEmpty(t, status.Continue)
	rest, err := maps.List(ctx, metav1.ListOptions{Continue: status.Continue})
	require.NoError(t, err)
	require.NotEqual(t, old, rest.ResourceVersion)
	require.Equal(t, []string{"m004", "m006", "m007", "m008", "m009"}, names(rest))

	_, err = maps.List(ctx, metav1.ListOptions{ResourceVersion: old, ResourceVersionMatch: metav1.ResourceVersionMatchExact})
	require.True(t, apierrors.IsResourceExpired(err), "%v", err)
	w, err := maps.Watch(ctx, metav1.ListOptions{ResourceVersion: "2"})
	require.NoError(t, err)
	defer w.Stop()
	gone := apierrors.FromObject((<-w.ResultChan()).Object)
	require.True(t, apierrors.IsResourceExpired(gone), "%v", gone)
	require.EqualValues(t, 410, gone.(apierrors.APIStatus).Status().Code)
}

func names(l *corev1.ConfigMapList) (out []string) {
	for _, m := range l.Items {
		out = append(out, m.Name)
	}
	return out
}

// compact makes etcd forget all but the present, as its administrator may.
func (s *server) compact() {
	s.Helper()
	etcd := s.etcd()
	now, err := etcd.Get(s.Context(), "x")
	require.NoError(s, err)
	_, err = etcd.Compact(s.Context(), now.Header.Revision)
	require.NoError(s, err)
}

// Each way to say how new a list has to be.
func TestListVersions(t *testing.T) {
	s := startServer(t)
	ctx, maps := t.Context(), s.client.CoreV1().ConfigMaps("default")
	first, err := maps.Create(ctx, configMap("a", nil), metav1.CreateOptions{})
	require.NoError(t, err)
	second, err := maps.Create(ctx, configMap("b", nil), metav1.CreateOptions{})
	require.NoError(t, err)
	require.NoError(t, maps.Delete(ctx, "a", metav1.DeleteOptions{}))
	far := strconv.Itoa(1 << 40)
	for _, c := range []struct {
		version string
		match   metav1.ResourceVersionMatch
		want    []string
	}{
		{"", "", []string{"b"}},
		{"0", "", []string{"b"}},
		{"0", metav1.ResourceVersionMatchNotOlderThan, []string{"b"}},
		{first.ResourceVersion, "", []string{"b"}},
		{first.ResourceVersion, metav1.ResourceVersionMatchNotOlderThan, []string{"b"}},
		{first.ResourceVersion, metav1.ResourceVersionMatchExact, []string{"a"}},
		{second.ResourceVersion, metav1.ResourceVersionMatchExact, []string{"a", "b"}},
	} {
		got, err := maps.List(ctx, metav1.ListOptions{ResourceVersion: c.version, ResourceVersionMatch: c.match})
		require.NoError(t, err)
		require.Equal(t, c.want, names(got), "%+v", c)
	}
	got := s.send("GET "+configMaps+"?resourceVersion="+far, nil) // client-go would try again ten times
	var status metav1.Status
	require.NoError(t, json.Unmarshal(got.body, &status))
	require.Equal(t, 504, got.code)
	require.Equal(t, "1", got.header.Get("Retry-After"))
	require.Equal(t, metav1.StatusReasonTimeout, status.Reason)
	require.Equal(t, []string{"ResourceVersionTooLarge "}, causesOf(&status))
	require.Contains(t, status.Message, "Too large resource version: "+far+", current: ")
}
