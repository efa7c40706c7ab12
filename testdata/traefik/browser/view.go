package browser

import (
	"context"
	"math"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Scheme is what a page is told of the colours its reader prefers, by the media feature prefers-color-scheme.
type Scheme string

// The schemes.
const (
	Light Scheme = "light"
	Dark  Scheme = "dark"
)

// viewHeight is the height of the view in CSS pixels, and the least height of a picture.
const viewHeight = 800

// View shows this page and those that follow width CSS pixels wide, on a screen with two pixels for each of them.
func (b *Browser) View(width int, scheme Scheme) error {
	_, err := run(b, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		media := emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: string(scheme)}},
		}
		if _, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, media); err != nil {
			return err
		}
		screen := emulation.SetDeviceMetricsOverrideParams{Width: int64(width), Height: viewHeight, DeviceScaleFactor: 2}
		_, err := cdp.Call(ctx, t, emulation.SetDeviceMetricsOverride, screen)
		return err
	}))
	return err
}

// Screenshot returns a PNG of the page as it is viewed: in its full height, but not wider than the view.
func (b *Browser) Screenshot() ([]byte, error) {
	return run(b, func(ctx context.Context, t *chromedp.Target) ([]byte, error) {
		layout, err := cdp.Call(ctx, t, page.GetLayoutMetrics, cdp.Empty{})
		if err != nil {
			return nil, err
		}
		all := true
		picture, err := cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{
			Format:                page.CaptureScreenshotFormatPng,
			CaptureBeyondViewport: &all,
			Clip: &page.Viewport{
				Width:  float64(layout.CSSLayoutViewport.ClientWidth),
				Height: math.Ceil(layout.CSSContentSize.Height),
				Scale:  1,
			},
		})
		return picture.Data, err
	})
}
