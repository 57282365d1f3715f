// Read a picture file, or a frame of the camera, as the pixels that the network takes.

import { fit, isOpaque, jpegReduction, onWhite, reduced } from "./picture.js";

// Pixels as they are in the file, turned upright: no colour profile is applied, because Python applies none.
const AS_STORED = { imageOrientation: "from-image", premultiplyAlpha: "none", colorSpaceConversion: "none" };

/** Return an upright ImageBitmap of a picture file. It throws if the browser cannot read the file. */
export function decoded(file) {
  return createImageBitmap(file, AS_STORED);
}

/** Return the pixels of a file, whose ImageBitmap is `bitmap`, as a Uint8Array of height * width * 3. */
export async function pixelsOfFile(file, bitmap, { width, height, crop_pct: cropPct, tall_first: tallFirst }) {
  const jpeg = await isJpeg(file);
  const factor = jpeg ? jpegReduction(bitmap.width, bitmap.height, width, height, cropPct) : 1;
  const canvas = canvasSource(bitmap, bitmap.width, bitmap.height);
  const pixels = fit(reduced(canvas, factor), width, height, cropPct, tallFirst);
  if (canvas.opaque) return pixels;
  // A canvas multiplies colours by their opacity, which loses bits. So transparent pictures are read in another way.
  const exact = await straightSource(file, bitmap);
  return exact ? fit(exact, width, height, cropPct, tallFirst) : pixels;
}

/** Return the pixels of what a canvas can draw, such as a video. */
export function pixelsOfFrame(frame, frameWidth, frameHeight, { width, height, crop_pct: cropPct, tall_first: tallFirst }) {
  return fit(canvasSource(frame, frameWidth, frameHeight), width, height, cropPct, tallFirst);
}

async function isJpeg(file) {
  const start = new Uint8Array(await file.slice(0, 3).arrayBuffer());
  return start[0] === 0xff && start[1] === 0xd8 && start[2] === 0xff;
}

/** Return a source of rows; see picture.js. Strips are drawn, because phones limit the size of a canvas. */
function canvasSource(image, width, height) {
  const canvas = document.createElement("canvas");
  const source = {
    width,
    height,
    opaque: true,
    rows(top, count) {
      canvas.width = width;
      canvas.height = count;
      // Without `willReadFrequently` the graphics processor draws, and its colours may be off by one.
      const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
      context.imageSmoothingEnabled = false;
      context.drawImage(image, 0, top, width, count, 0, 0, width, count);
      const { data } = context.getImageData(0, 0, width, count);
      source.opaque &&= isOpaque(data);
      return onWhite(data);
    },
  };
  return source;
}

/** Return a source of rows with exact transparent pixels, or null where the browser has no ImageDecoder. */
async function straightSource(file, { width, height }) {
  if (!("ImageDecoder" in globalThis)) return null;
  const decoder = new ImageDecoder({ type: await mimeType(file), data: await file.arrayBuffer(), ...AS_STORED });
  try {
    const { image } = await decoder.decode();
    const rgba = new Uint8Array(image.allocationSize({ format: "RGBA" }));
    await image.copyTo(rgba, { format: "RGBA" });
    const fits = image.codedWidth === width && image.codedHeight === height && rgba.length === width * height * 4;
    image.close();
    if (!fits) return null; // a picture that is turned
    return { width, height, rows: (top, count) => onWhite(rgba.subarray(top * width * 4, (top + count) * width * 4)) };
  } catch {
    return null; // of a format that ImageDecoder lacks
  } finally {
    decoder.close();
  }
}

/** Return the type of a file by its first bytes, because a name may be wrong. */
async function mimeType(file) {
  const start = String.fromCharCode(...new Uint8Array(await file.slice(0, 12).arrayBuffer()));
  if (start.startsWith("\x89PNG")) return "image/png";
  if (start.startsWith("GIF8")) return "image/gif";
  if (start.startsWith("RIFF") && start.endsWith("WEBP")) return "image/webp";
  if (start.slice(4) === "ftypavif") return "image/avif";
  return file.type;
}
