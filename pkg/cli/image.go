package cli

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"

	"bonsai/pkg/machine"
)

func imageCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "image", Short: "Image tarballs into every node: load, ls, rm"}
	cmd.AddCommand(imageLoad(), imageList(), imageRemove())
	return cmd
}

// withImages makes a command's function from one that uses the node's images.
func withImages(dir *string, f func(ctx context.Context, images *machine.Images, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := needRoot("bonsai image"); err != nil {
			return err
		}
		d, err := openDir(*dir)
		if err != nil {
			return err
		}
		if _, up := machine.Running(d); !up {
			return fmt.Errorf("no cluster runs from %s: start it with bonsai up", d)
		}
		images, err := machine.OpenImages(d)
		if err != nil {
			return err
		}
		defer images.Close()
		return f(cmd.Context(), images, args)
	}
}

func imageLoad() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "load FILE...",
		Short: "Load images from tarballs of `docker save` or an OCI layout; - reads standard input",
		Args:  cobra.MinimumNArgs(1),
	}
	cmd.RunE = withImages(dataDirFlag(cmd), func(ctx context.Context, images *machine.Images, files []string) error {
		for _, file := range files {
			if err := loadFile(ctx, images, file); err != nil {
				return fmt.Errorf("load %s: %w", file, err)
			}
		}
		return nil
	})
	return cmd
}

func loadFile(ctx context.Context, images *machine.Images, file string) error {
	in := os.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	start := time.Now()
	names, err := images.Load(ctx, in)
	for _, n := range names {
		fmt.Printf("✓ %s  %.1fs\n", n, time.Since(start).Seconds())
	}
	return err
}

func imageList() *cobra.Command {
	cmd := &cobra.Command{Use: "ls", Short: "List the node's images", Args: cobra.NoArgs}
	cmd.RunE = withImages(dataDirFlag(cmd), func(ctx context.Context, images *machine.Images, _ []string) error {
		all, err := images.List(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
		fmt.Fprintln(w, "IMAGE\tDIGEST\tSIZE\tAGE")
		for _, i := range all {
			fmt.Fprintf(w, "%s\t%.19s\t%.1f MiB\t%s\n", i.Name, i.Digest, float64(i.Size)/(1<<20), duration.HumanDuration(time.Since(i.Created)))
		}
		return w.Flush()
	})
	return cmd
}

func imageRemove() *cobra.Command {
	cmd := &cobra.Command{Use: "rm NAME...", Short: "Remove images from the node", Args: cobra.MinimumNArgs(1)}
	cmd.RunE = withImages(dataDirFlag(cmd), func(ctx context.Context, images *machine.Images, names []string) error {
		for _, n := range names {
			if err := images.Remove(ctx, n); err != nil {
				return err
			}
			fmt.Printf("✓ %s removed\n", n)
		}
		return nil
	})
	return cmd
}
