/// <reference types="./xterm.d.ts" />
import type { Style } from "@xterm/headless";

/** The sequence after which a terminal writes in this style, whatever its style was before. */
export function sgr(style: Style, { backgroundOnly = false } = {}): string {
  const codes = [0, ...(backgroundOnly ? [] : foreground(style))];
  if (style.isBgRGB()) codes.push(48, 2, ...rgb(style.getBgColor()));
  else if (style.isBgPalette()) codes.push(...palette(style.getBgColor(), 40));
  return `\x1b[${codes.join(";")}m`;
}

function foreground(style: Style): number[] {
  const codes: number[] = [];
  if (style.isBold()) codes.push(1);
  if (style.isDim()) codes.push(2);
  if (style.isItalic()) codes.push(3);
  if (style.isUnderline()) codes.push(4);
  if (style.isBlink()) codes.push(5);
  if (style.isInverse()) codes.push(7);
  if (style.isInvisible()) codes.push(8);
  if (style.isStrikethrough()) codes.push(9);
  if (style.isOverline()) codes.push(53);
  if (style.isFgRGB()) codes.push(38, 2, ...rgb(style.getFgColor()));
  else if (style.isFgPalette()) codes.push(...palette(style.getFgColor(), 30));
  return codes;
}

function rgb(color: number): number[] {
  return [color >> 16 & 0xff, color >> 8 & 0xff, color & 0xff];
}

/** @param first the code of colour 0: 30 for the foreground, 40 for the background */
function palette(color: number, first: 30 | 40): number[] {
  if (color < 8) return [first + color];
  if (color < 16) return [first + 60 + color - 8];
  return [first + 8, 5, color];
}
