// Bring a picture to the size that the network takes, byte for byte as Python does with Pillow (ImageOps.fit, bicubic).
//
// A source of rows is an object {width, height, rows(top, count)}. `rows` returns a Uint8Array with RGB of `count` rows.
// It is asked for strips, so that a photograph of many megapixels needs little memory.

const STRIP = 256;

// Pillow's Resample.c: weights are integers with so many bits after the point.
const PRECISION = 22;
const ROUND = 2 ** (PRECISION - 1);

/** Return [left, top, right, bottom]: the centre of a picture in the proportions of width:height. */
export function cropBox(pictureWidth, pictureHeight, width, height, cropPct) {
  const bleed = (1 - cropPct) / 2;
  const bleedX = bleed * pictureWidth;
  const bleedY = bleed * pictureHeight;
  const liveWidth = pictureWidth - bleedX * 2;
  const liveHeight = pictureHeight - bleedY * 2;
  const ratio = width / height;
  let cropWidth = liveWidth;
  let cropHeight = liveHeight;
  if (liveWidth / liveHeight > ratio) cropWidth = ratio * liveHeight;
  else if (liveWidth / liveHeight < ratio) cropHeight = liveWidth / ratio;
  const left = bleedX + (liveWidth - cropWidth) * 0.5;
  const top = bleedY + (liveHeight - cropHeight) * 0.5;
  // Pillow hands the box to C as 32-bit numbers.
  return [left, top, left + cropWidth, top + cropHeight].map(Math.fround);
}

function bicubic(x) {
  const a = -0.5;
  x = Math.abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/** Return for each output position where its inputs begin, how many there are, and their integer weights. */
function weightsOf(inputs, from, to, outputs) {
  const scale = Math.fround(to - from) / outputs;
  const stretch = Math.max(scale, 1);
  const support = 2 * stretch;
  const found = [];
  for (let i = 0; i < outputs; i++) {
    const centre = from + (i + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const count = Math.min(Math.trunc(centre + support + 0.5), inputs) - first;
    const real = new Float64Array(count);
    let sum = 0;
    for (let j = 0; j < count; j++) {
      real[j] = bicubic((j + first - centre + 0.5) * (1 / stretch));
      sum += real[j];
    }
    const weights = Int32Array.from(real, (value) => {
      const scaled = (sum === 0 ? value : value / sum) * 2 ** PRECISION;
      return Math.trunc(scaled + (scaled < 0 ? -0.5 : 0.5));
    });
    found.push({ first, count, weights });
  }
  return found;
}

function clip(value) {
  const shifted = value >> PRECISION;
  return shifted < 0 ? 0 : shifted > 255 ? 255 : shifted;
}

/**
 * Crop the centre of a source of rows and scale it. Return a Uint8Array of height * width * 3.
 *
 * Between its two passes Pillow rounds to 8 bits, so their order counts. Since version 13 it scales tall pictures down first.
 */
export function fit(source, width, height, cropPct, tallFirst) {
  const box = cropBox(source.width, source.height, width, height, cropPct);
  const across = width !== source.width || box[0] !== 0 || box[2] !== width;
  const down = height !== source.height || box[1] !== 0 || box[3] !== height;
  const columns = across ? weightsOf(source.width, box[0], box[2], width) : null;
  const lines = down ? weightsOf(source.height, box[1], box[3], height) : null;
  const top = lines ? lines[0].first : 0;
  const bottom = lines ? lines[height - 1].first + lines[height - 1].count : height;

  const less = source.height - height;
  if (tallFirst && down && less > 0 && less > (source.width - width) * 2) {
    const low = scaleStripsDown(source, top, bottom, lines);
    return columns ? scaleAcross(low, source.width, height, columns) : low;
  }
  const narrow = new Uint8Array((bottom - top) * width * 3);
  for (const [start, count] of strips(top, bottom)) {
    const strip = source.rows(start, count);
    narrow.set(columns ? scaleAcross(strip, source.width, count, columns) : strip, (start - top) * width * 3);
  }
  return lines ? scaleStripsDown({ width, rows: (start) => narrow.subarray((start - top) * width * 3) }, top, bottom, lines) : narrow;
}

function* strips(top, bottom) {
  for (let start = top; start < bottom; start += STRIP) yield [start, Math.min(STRIP, bottom - start)];
}

function scaleAcross(strip, stripWidth, count, columns) {
  const target = new Uint8Array(count * columns.length * 3);
  let place = 0;
  for (let y = 0; y < count; y++) {
    for (const { first, count: taps, weights } of columns) {
      let at = (y * stripWidth + first) * 3;
      let red = ROUND;
      let green = ROUND;
      let blue = ROUND;
      for (let j = 0; j < taps; j++, at += 3) {
        const weight = weights[j];
        red += strip[at] * weight;
        green += strip[at + 1] * weight;
        blue += strip[at + 2] * weight;
      }
      target[place++] = clip(red);
      target[place++] = clip(green);
      target[place++] = clip(blue);
    }
  }
  return target;
}

function scaleStripsDown(source, top, bottom, lines) {
  const row = source.width * 3;
  const sums = new Int32Array(lines.length * row).fill(ROUND);
  for (const [start, count] of strips(top, bottom)) {
    const strip = source.rows(start, count);
    lines.forEach(({ first, count: taps, weights }, y) => {
      const last = Math.min(first + taps, start + count);
      for (let j = Math.max(first, start); j < last; j++) {
        const weight = weights[j - first];
        for (let x = 0, from = (j - start) * row, to = y * row; x < row; x++) sums[to++] += strip[from++] * weight;
      }
    });
  }
  return Uint8Array.from(sums, clip);
}

/** Return by how much Python reduces a JPEG file of this size while it decodes: 8, 4, 2 or 1. */
export function jpegReduction(pictureWidth, pictureHeight, width, height, cropPct) {
  const side = Math.max(2 * Math.max(Math.ceil(width / cropPct), Math.ceil(height / cropPct)), 256);
  const scale = Math.min(Math.floor(pictureWidth / side), Math.floor(pictureHeight / side));
  return [8, 4, 2].find((factor) => scale >= factor) ?? 1;
}

/** Return a source of rows whose pixels are the means of factor * factor pixels, as a decoder of JPEG reduces. */
export function reduced(source, factor) {
  if (factor === 1) return source;
  const width = Math.ceil(source.width / factor);
  const height = Math.ceil(source.height / factor);
  const rows = (top, count) => {
    const first = top * factor;
    const available = Math.min(count * factor, source.height - first);
    const pixels = source.rows(first, available);
    const result = new Uint8Array(count * width * 3);
    for (let y = 0; y < count; y++) {
      const down = Math.min(factor, available - y * factor);
      for (let x = 0; x < width; x++) {
        const across = Math.min(factor, source.width - x * factor);
        for (let channel = 0; channel < 3; channel++) {
          let sum = 0;
          for (let j = 0; j < down; j++) {
            let at = ((y * factor + j) * source.width + x * factor) * 3 + channel;
            for (let i = 0; i < across; i++, at += 3) sum += pixels[at];
          }
          result[(y * width + x) * 3 + channel] = Math.round(sum / (down * across));
        }
      }
    }
    return result;
  };
  return { width, height, rows };
}

/** Put RGBA pixels on white and return RGB, with the integers of Pillow's alpha_composite. */
export function onWhite(rgba) {
  const result = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    const alpha = rgba[from + 3];
    if (alpha === 255) {
      result[to] = rgba[from];
      result[to + 1] = rgba[from + 1];
      result[to + 2] = rgba[from + 2];
      continue;
    }
    const own = alpha * 128; // of 255 * 128
    for (let channel = 0; channel < 3; channel++) {
      const sum = rgba[from + channel] * own + 255 * (255 * 128 - own) + 0x80 * 128;
      result[to + channel] = ((sum >> 8) + sum) >> 8 >> 7;
    }
  }
  return result;
}

/** Return whether all of these RGBA pixels are opaque. */
export function isOpaque(rgba) {
  for (let at = 3; at < rgba.length; at += 4) if (rgba[at] !== 255) return false;
  return true;
}
